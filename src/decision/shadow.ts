/**
 * A second policy beside the one that decides: asked about the same requests, off their way, and never listened to. A
 * request is sampled once it is decided, and from then on has nothing to do with it; what the shadow can't keep up with is
 * dropped and counted.
 */
import { RequestError } from '../errors.ts';
import type { DecidingPolicy, Decision, InputNeeds, PolicyInput, ShadowEvent, ShadowResult } from '../types.ts';
import { type Disagreement, findDisagreement } from './disagreement.ts';

/** A request that was decided. */
export interface Decided {
  readonly input: PolicyInput;
  readonly decision: Decision;
  readonly policy: DecidingPolicy;
  /** Of the body, which is held for as long as the shadow needs its text. */
  readonly bytes: number;
  /** The input as it would have been built for another policy. @throws RequestError that would have been its answer */
  readonly build: (reads: InputNeeds) => PolicyInput;
}

export interface ShadowOptions {
  readonly name: string;
  /** Part of the requests that is looked at, 0 to 1. */
  readonly sample: number;
  /** What is asked now; undefined while none is loaded. */
  readonly policy: () => DecidingPolicy | undefined;
  /** Members of the input that only those policies are given that read them. */
  readonly selective: readonly string[];
  /** Codes as they may be recorded: none that a policy could have made of content. */
  readonly recordCodes: (decision: Pick<Decision, 'reasons'>, policy: DecidingPolicy) => readonly string[];
  readonly withoutContent: (input: PolicyInput) => Readonly<Record<string, unknown>>;
  readonly onResult: (result: ShadowResult) => void;
  readonly onDisagreement: (event: ShadowEvent) => void;
  /** Told of what should never happen. */
  readonly onError: (error: unknown) => void;
}

export interface Shadow {
  /** Never throws, and returns before anything is evaluated. */
  observe(decided: Decided): void;
  /** What waits is dropped. */
  close(): void;
}

/** Requests that wait; more are dropped. */
const mostWaiting = 256;
/** Evaluations at a time, for engines that are waited for. */
const mostRunning = 16;
/** Bodies that are held because the shadow reads their text, bytes. */
const mostHeld = 32 * 1024 * 1024;
/** Time in a row that evaluations in this thread may take from requests, ms; a single one may take longer. */
const sliceMs = 0.5;

interface Task extends Pick<Decided, 'input' | 'decision' | 'policy'> {
  readonly shadow: DecidingPolicy;
  /** Undefined where the input that was decided on has all that the shadow reads. */
  readonly build: Decided['build'] | undefined;
  readonly held: number;
  readonly at: Date;
}

export function createShadow(options: ShadowOptions): Shadow {
  let waiting: Task[] = [];
  let [running, held] = [0, 0];
  let scheduled = false;
  let closed = false;

  return {
    observe({ input, decision, policy, bytes, build }) {
      if (closed || Math.random() >= options.sample) return;
      const shadow = options.policy();
      const reuses = shadow !== undefined && covers(policy.reads, shadow.reads);
      const holds = reuses ? 0 : bytes;
      if (shadow === undefined || waiting.length >= mostWaiting || held + holds > mostHeld) {
        options.onResult('dropped');
        return;
      }
      held += holds;
      const own = reuses ? undefined : build;
      waiting.push({ input, decision, policy, shadow, build: own, held: holds, at: new Date() });
      schedule();
    },
    close() {
      closed = true;
      for (const _task of waiting) options.onResult('dropped');
      waiting = [];
    },
  };

  function covers(deciding: InputNeeds, shadow: InputNeeds): boolean {
    const reads = (needs: InputNeeds, member: string): boolean => needs.all || needs.members.has(member);
    return options.selective.every((member) => !reads(shadow, member) || reads(deciding, member));
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(drain);
  }

  function drain(): void {
    scheduled = false;
    const started = performance.now();
    while (running < mostRunning && performance.now() - started < sliceMs) {
      const task = waiting.shift();
      if (task === undefined) return;
      running += 1;
      void run(task)
        .then(options.onResult, (error: unknown) => {
          options.onResult('error');
          options.onError(error);
        })
        .finally(() => {
          running -= 1;
          held -= task.held;
          if (waiting.length > 0) schedule();
        });
    }
    if (waiting.length > 0 && running < mostRunning) schedule();
  }

  async function run(task: Task): Promise<ShadowResult> {
    const { shadow } = task;
    // Another one has taken its place, which may read what this input was not built with.
    if (shadow !== options.policy()) return 'dropped';
    const decision = await decide(task);
    const told = ({ result, reasons }: Answer) => ({ result, codes: reasons.map(({ code }) => code) });
    const kind = findDisagreement(told(task.decision), told(decision));
    if (kind === undefined) return 'agree';
    options.onDisagreement(describe(task, kind, decision));
    return kind;
  }

  type Answer = Pick<Decision, 'result' | 'reasons' | 'engine' | 'revision'>;

  async function decide({ input, shadow, build }: Task): Promise<Answer> {
    try {
      return await shadow.decide(build === undefined ? input : build(shadow.reads));
    } catch (error) {
      // With this policy the sidecar itself would have refused the request.
      if (!(error instanceof RequestError)) throw error;
      return { result: 'deny', reasons: [{ code: error.code, message: error.message }], engine: '', revision: '' };
    }
  }

  function describe({ input, decision, policy, shadow, at }: Task, kind: Disagreement, other: Answer): ShadowEvent {
    return {
      time: at.toISOString(),
      shadow: options.name,
      disagreement: kind,
      request_id: input.request_id,
      decision_id: input.decision_id,
      principal: input.principal.id,
      agent_role: input.agent_role,
      operation: input.operation,
      model: input.model,
      policy_result: decision.result,
      reasons: options.recordCodes(decision, policy),
      revision: decision.revision,
      shadow_result: other.result,
      shadow_reasons: options.recordCodes(other, shadow),
      shadow_engine: other.engine === '' ? undefined : other.engine,
      shadow_revision: other.revision === '' ? undefined : other.revision,
      input: options.withoutContent(input),
    };
  }
}
