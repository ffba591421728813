/**
 * The record of one request: told of what happens in the order in which it happens, it makes exactly one audit event when
 * the request ends, however it ends. It holds what it is told and decides nothing.
 */
import { type ErrorCode, errorTable } from '../errors.ts';
import type {
  Api,
  AuditEvent,
  AuditOperation,
  DecidingPolicy,
  Decision,
  DecisionEvent,
  Measures,
  Outcome,
  PolicyInput,
  Principal,
  Usage,
} from '../types.ts';
import { type Admit, createAuditRecorded, decisionIn, type Recorded, toLineJson } from './sink.ts';

/** How a request ended. */
export interface Exit {
  readonly outcome: Outcome;
  /** The status that was answered; before there was one, 499 where the client left and 503 where the sidecar ended. */
  readonly status: number;
  /** Why the sidecar refused or cut it. */
  readonly error?: ErrorCode | undefined;
  /** `unknown`: an answer that should have said; undefined: nothing that has counts. */
  readonly usage?: Usage | 'unknown' | undefined;
  readonly finishReason?: string | undefined;
}

/** Told once of every request. What it throws is not the request's business; it has to count its own failures. */
export type RecordObserver = (event: AuditEvent, measures: Measures) => void;

export interface RequestStart {
  readonly requestId: string;
  readonly traceId?: string | undefined;
  /** Whoever began the trace keeps it. */
  readonly traceSampled?: boolean | undefined;
  readonly api: Api;
  /** As HTTP's parser knows it, so one of a fixed set. */
  readonly method: string;
}

export interface RequestRecord {
  /** @param id of the known certificate that the connection was opened with */
  certified(id: string): void;
  identified(principal: Principal): void;
  routed(route: { readonly api: Api; readonly operation: AuditOperation; readonly path: string }): void;
  /** The caller's body is here; the wait for it ends. */
  received(): void;
  asked(input: PolicyInput): void;
  /** @param policy that decided: its codes may be labels, and where it reads content, none of its text is recorded */
  decided(decision: Decision, policy: Pick<DecidingPolicy, 'codes' | 'readsContent'>): void;
  /**
   * About to be handed to the upstream, with the names of what was spliced into the judged bytes.
   *
   * @returns what the request has to wait for, if anything; it rejects with a `RequestError` where it must not go on
   */
  forwards(target: string, changes: readonly string[]): Promise<void> | undefined;
  /** Handed to the upstream, with the names of what was spliced into the judged bytes. */
  forwarded(target: string, changes: readonly string[]): void;
  firstByte(): void;
  /** What the event says of the input is made now, so that a large one is not held until the answer has ended. */
  trim(): void;
  /**
   * Makes the event; a second call does nothing.
   *
   * @param exit or what finds it out when the event is made, where that takes work; it must not throw
   */
  finish(exit: Exit | (() => Exit)): void;
}

export interface RecorderOptions {
  readonly observers: readonly RecordObserver[];
  /** Where records go; it must not throw. */
  readonly record?: ((recorded: Recorded) => void) | undefined;
  /** The input as it may be recorded. */
  readonly withoutContent: (input: PolicyInput) => Readonly<Record<string, unknown>>;
  readonly now?: () => Date;
  /** Undefined where nobody wants to be told before a request goes on. */
  readonly admit?: Admit | undefined;
  /** When to make and tell the event of a request that has ended; at once by default. */
  readonly later?: (task: () => void) => void;
}

export type Recorder = (start: RequestStart) => RequestRecord;

/** What is told of every request, whatever its input holds. */
type Outline = Pick<
  PolicyInput,
  'decision_id' | 'agent_role' | 'model' | 'has_system_prompt' | 'has_tools' | 'message_count' | 'stream'
>;

const outlined = ['agent_role', 'model', 'has_system_prompt', 'has_tools', 'message_count', 'stream'] as const;

function outline(input: PolicyInput): Outline {
  const there = outlined.filter((name) => input[name] !== undefined).map((name) => [name, input[name]]);
  return { decision_id: input.decision_id, ...Object.fromEntries(there) };
}

export function createRecorder(options: RecorderOptions): Recorder {
  const now = options.now ?? (() => new Date());
  const later = options.later ?? ((task) => task());

  return function begin(start) {
    const started = now();
    const startedMs = performance.now();
    let waitedFromMs: number | undefined;
    let waitedMs = 0;
    let certificate: string | undefined;
    let principal: Principal | undefined;
    let route: { readonly api: Api; readonly operation: AuditOperation; readonly path: string } | undefined;
    let input: Outline | undefined;
    let whole: PolicyInput | undefined;
    let recorded: Readonly<Record<string, unknown>> | undefined;
    let decision: Decision | undefined;
    let reasons: RecordedReasons = noReasons;
    let readsContent = false;
    let target: string | undefined;
    let changes: readonly string[] | undefined;
    let forwardedMs: number | undefined;
    let firstByteMs: number | undefined;
    let finished = false;
    let timeText: string | undefined;
    let told: Recorded | undefined;

    return {
      certified(id) {
        certificate = id;
      },
      identified(value) {
        principal = value;
      },
      routed(value) {
        route = value;
        waitedFromMs = performance.now();
      },
      received() {
        waitedMs = performance.now() - (waitedFromMs ?? startedMs);
      },
      asked(value) {
        input = value;
        whole = value;
      },
      trim() {
        if (whole === undefined) return;
        recorded = options.withoutContent(whole);
        input = outline(whole);
        whole = undefined;
      },
      decided(value, policy) {
        decision = value;
        readsContent = policy.readsContent;
        if (value.reasons.length > 0) reasons = recordReasons(value, policy);
      },
      forwards(targetId, spliced) {
        return options.admit?.(() => findDecision() ?? toLineJson(describeDecision(targetId, spliced)));
      },
      forwarded(targetId, spliced) {
        target = targetId;
        changes = spliced;
        forwardedMs = performance.now();
      },
      firstByte() {
        firstByteMs ??= performance.now();
      },
      finish(exit) {
        if (finished) return;
        finished = true;
        const endedMs = performance.now();
        later(() => tell(typeof exit === 'function' ? exit() : exit, endedMs));
      },
    };

    /** Twice, and it takes as long as the rest of a line. */
    function startedText(): string {
      timeText ??= started.toISOString();
      return timeText;
    }

    /** In what was told meanwhile of the whole request, if that says where it went. */
    function findDecision(): string | undefined {
      return told === undefined || target === undefined ? undefined : decisionIn(told.json());
    }

    function describeDecision(targetId: string, spliced: readonly string[]): DecisionEvent {
      const event: Whole<DecisionEvent> = {
        time: startedText(),
        request_id: start.requestId,
        trace_id: start.traceId,
        decision_id: input?.decision_id,
        principal: principal?.id,
        agent_role: input?.agent_role,
        tenant: principal?.tenant,
        api: route?.api ?? start.api,
        operation: route?.operation,
        model: input?.model,
        provider: 'ollama',
        target: targetId,
        policy_result: decision?.result ?? 'none',
        reasons: reasons.codes,
        revision: decision?.revision,
        changes: spliced.length > 0 ? spliced : undefined,
      };
      return event;
    }

    function tell(exit: Exit, endedMs: number): void {
      const usage = typeof exit.usage === 'object' ? exit.usage : undefined;
      // One literal with every member, in the order of the line: much cheaper than to put it together from parts. First come
      // those of the decision, for `decisionIn`.
      const event: AuditEvent = {
        time: startedText(),
        request_id: start.requestId,
        trace_id: start.traceId,
        decision_id: input?.decision_id,
        principal: principal?.id,
        agent_role: input?.agent_role,
        tenant: principal?.tenant,
        api: route?.api ?? start.api,
        operation: route?.operation,
        model: input?.model,
        provider: 'ollama',
        target,
        policy_result: decision?.result ?? 'none',
        reasons: reasons.codes,
        revision: decision?.revision,
        changes: changes !== undefined && changes.length > 0 ? changes : undefined,
        method: start.method,
        path: route?.path,
        client_certificate: certificate,
        has_system_prompt: input?.has_system_prompt,
        has_tools: input?.has_tools,
        message_count: input?.message_count,
        stream: input?.stream,
        engine: decision?.engine,
        status: exit.status,
        error: exit.error,
        usage: exit.usage === undefined ? 'none' : exit.usage === 'unknown' ? 'unknown' : 'known',
        input_tokens: usage?.inputTokens,
        output_tokens: usage?.outputTokens,
        finish_reason: exit.finishReason,
        time_to_first_token_ms: firstByteMs === undefined ? undefined : roundMs(firstByteMs - startedMs),
        duration_ms: roundMs(endedMs - startedMs),
        outcome: exit.outcome,
        tool_name: 'ollama-api',
        mcp_server: 'ollama-proxy',
        action: start.method,
        dynamic_metadata: readsContent ? undefined : decision?.dynamicMetadata,
        input: recorded ?? (whole && options.withoutContent(whole)),
      };
      const measures: Measures = {
        durationS: (endedMs - startedMs) / 1000,
        firstByteS: firstByteMs === undefined ? undefined : (firstByteMs - startedMs) / 1000,
        decisionS: decision === undefined ? undefined : decision.durationNs / 1e9,
        reasonLabel: reasons.label,
        overheadS: forwardedMs === undefined ? undefined : (forwardedMs - startedMs - waitedMs) / 1000,
        traceSampled: start.traceSampled,
      };
      if (options.record !== undefined) {
        told = createAuditRecorded(event);
        options.record(told);
      }
      for (const observe of options.observers) observe(event, measures);
    }
  };
}

/** Every member is said, be it that there is none: one that is added to the event does not compile until it is here too. */
type Whole<Event> = { readonly [Name in keyof Required<Event>]: Event[Name] };

export interface RecordedReasons {
  readonly codes: readonly string[];
  readonly label: string;
}

const noReasons: RecordedReasons = { codes: [], label: '' };

/** Of a policy that reads content no code is recorded that it could have made of it. */
export function recordReasons(
  { reasons }: Pick<Decision, 'reasons'>,
  { codes: declared, readsContent }: Pick<DecidingPolicy, 'codes' | 'readsContent'>,
): RecordedReasons {
  const known = reasons.map(({ code }) =>
    declared.has(code) || Object.hasOwn(errorTable, code) ? code : 'policy_denied',
  );
  return { codes: readsContent ? known : reasons.map(({ code }) => code), label: known[0] ?? '' };
}

/** To the microsecond: more digits would only be noise in each line. */
function roundMs(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
