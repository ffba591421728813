/**
 * A policy in threads of its own. Evaluation can't be interrupted, a thread can: one that passes its deadline is ended, the
 * request that it worked on is denied, and another takes its place.
 *
 * A caller who can make the policy slow must not be able to deny others. So a thread that has not answered for a part of the
 * deadline counts as stuck from then on: what was handed to it and not begun goes elsewhere, and its successor is started
 * while it still has time to answer.
 */
import { EvaluationError, PolicyError } from '../../errors.ts';
import { parseExactJson } from '../../exact-json.ts';
import type { LoadedPolicy, PolicyInput } from '../../types.ts';
import { type Member, startMember } from './member.ts';
import type { PolicyFacts, ThreadData, ThreadMessage } from './messages.ts';
import { unpackFailure } from './pack.ts';

export interface PoolOptions extends ThreadData {
  /** Evaluations that one thread is handed at once: more than one only for engines that wait for something. */
  readonly concurrency: number;
  /** The thread keeps the deadline itself: it is ended only if it does not. */
  readonly keepsDeadline: boolean;
  /** A thread was lost and is being replaced. */
  readonly onLost: (cause: EvaluationError) => void;
}

interface Job {
  readonly id: number;
  readonly entrypoint: string;
  readonly input: string;
  readonly nowNs: string | undefined;
  /** With the results as JSON. */
  readonly resolve: (results: string) => void;
  readonly reject: (error: unknown) => void;
  /** On the clock of `performance.now`, ms. */
  readonly endsAt: number;
  timer: NodeJS.Timeout | undefined;
  seat: Seat | undefined;
  sentAt: number;
  /** The engine waits for something and holds up nobody. */
  waiting: boolean;
  /** Lost its thread once without being to blame. */
  moved: boolean;
}

interface Seat {
  readonly member: Member;
  readonly jobs: Map<number, Job>;
  ready: boolean;
  stuck: boolean;
  /** Ends one that does not get ready. */
  readonly loading: NodeJS.Timeout;
}

/** After this part of the deadline without an answer a thread counts as stuck. */
const patience = 0.25;
/** For a thread that keeps the deadline itself; past this it is stuck, ms. */
const graceMs = 40;
/** Threads more than wanted, left over when a stuck one answers after all, stay for this long, ms. */
const surplusMs = 10_000;
/** To load a policy; seconds are what 50 MB of data take, ms. */
const loadMs = 60_000;
const firstRetryMs = 100;
const longestRetryMs = 5000;

/**
 * Starts a thread and waits until it has loaded the policy; the others follow.
 *
 * @throws PolicyError that the engine gave for the policy, or where it does not fit into policy.memory
 */
export async function startPool(options: PoolOptions): Promise<LoadedPolicy> {
  const { deadline: deadlineMs, workers: wanted } = options.config;
  // Clients of other engines hold what does not cross.
  const config = { ...options.config, opa: undefined, bundle: undefined, signature: undefined };
  const allowedMs = options.keepsDeadline ? deadlineMs + graceMs : deadlineMs;
  const seats = new Set<Seat>();
  const queue = new Set<Job>();
  const ends = new Set<Promise<void>>();
  let { policy } = options;
  let opaModule: WebAssembly.Module | undefined;
  let facts: PolicyFacts | undefined;
  let lastId = 0;
  let outstanding = 0;
  let closed = false;
  let idle: (() => void) | undefined;
  let retryMs = firstRetryMs;
  let retry: NodeJS.Timeout | undefined;
  let watch: NodeJS.Timeout | undefined;
  let surplus: NodeJS.Timeout | undefined;
  /** Why no thread could be started, while none can. */
  let refusal: Error | undefined;

  const first = await new Promise<PolicyFacts>((resolve, reject) => {
    const seat: Seat = open({
      onMessage(message) {
        if (message.kind === 'refused') {
          leave(seat);
          reject(unpackFailure(message.failure));
        } else hear(seat, message, resolve);
      },
      onDeath(cause) {
        if (facts !== undefined) return lose(seat, cause);
        leave(seat);
        reject(new PolicyError(`The policy could not be loaded. ${cause.message}`, [], { cause }));
      },
    });
  });
  fill();

  return {
    revision: first.revision,
    entrypoints: first.entrypoints,
    reads: first.reads,
    codes: first.codes,
    deterministic: first.deterministic,
    shape: (entrypoint) => first.shapes.get(entrypoint) ?? 'unknown',
    notReady: () => (refusal === undefined || seats.size > 0 ? undefined : refuse(refusal).message),
    evaluate,
    async close() {
      closed = true;
      clearTimeout(retry);
      clearTimeout(surplus);
      // Each ends within its deadline.
      if (outstanding > 0) {
        await new Promise<void>((resolve) => {
          idle = resolve;
        });
      }
      clearTimeout(watch);
      for (const seat of seats) leave(seat);
      await Promise.all(ends);
    },
  };

  function evaluate(entrypoint: string, input: PolicyInput): Promise<readonly unknown[]> {
    if (closed) return Promise.reject(new EvaluationError('policy_unavailable', 'The policy was closed.'));
    if (seats.size === 0 && refusal !== undefined) return Promise.reject(refuse(refusal));
    return new Promise<string>((resolve, reject) => {
      lastId += 1;
      const job: Job = {
        id: lastId,
        entrypoint,
        ...writeInput(input),
        resolve,
        reject,
        endsAt: performance.now() + deadlineMs,
        timer: undefined,
        seat: undefined,
        sentAt: 0,
        waiting: false,
        moved: false,
      };
      // This thread may have been busy itself: an answer that lies there already is heard first.
      job.timer = setTimeout(() => setImmediate(expire, job), allowedMs);
      outstanding += 1;
      place(job);
    }).then(readResults);
  }

  /** Of what the policy reads, and what engines go by themselves. */
  function writeInput(input: PolicyInput): { readonly input: string; readonly nowNs: string | undefined } {
    const { now_ns: now, ...picked } = first.reads.all ? input : pick(input, first.reads.members);
    return { input: JSON.stringify(picked), nowNs: JSON.stringify(now) };
  }

  function place(job: Job): void {
    const seat = choose();
    if (seat === undefined) {
      queue.add(job);
      return;
    }
    job.seat = seat;
    job.waiting = false;
    job.sentAt = performance.now();
    seat.jobs.set(job.id, job);
    seat.member.post({
      id: job.id,
      entrypoint: job.entrypoint,
      input: job.input,
      nowNs: job.nowNs,
      leftMs: Math.max(0, job.endsAt - job.sentAt),
    });
    watch ??= setTimeout(look, deadlineMs * patience);
  }

  function choose(): Seat | undefined {
    let best: Seat | undefined;
    for (const seat of seats) {
      if (!seat.ready || seat.stuck || seat.jobs.size >= options.concurrency) continue;
      if (best === undefined || seat.jobs.size < best.jobs.size) best = seat;
    }
    return best;
  }

  function pump(): void {
    for (const job of queue) {
      if (choose() === undefined) return;
      queue.delete(job);
      place(job);
    }
  }

  function settle(job: Job): void {
    clearTimeout(job.timer);
    job.seat?.jobs.delete(job.id);
    queue.delete(job);
    job.seat = undefined;
    outstanding -= 1;
    if (outstanding === 0) idle?.();
  }

  function deny(job: Job, cause: EvaluationError): void {
    settle(job);
    job.reject(cause);
  }

  /** The deadline of a job has passed. */
  function expire(job: Job): void {
    const { seat } = job;
    if (seat?.jobs.has(job.id) !== true && !queue.has(job)) return;
    const cause = new EvaluationError(
      'policy_deadline',
      seat === undefined
        ? `No thread of the policy was free within policy.deadline, ${deadlineMs} ms.`
        : `The policy did not answer within policy.deadline, ${deadlineMs} ms.`,
    );
    deny(job, cause);
    if (seat !== undefined) lose(seat, cause);
  }

  /** Looks for threads that do not answer, as long as anything is asked of them. */
  function look(): void {
    watch = undefined;
    // A timer may be a moment early; to look a second time would take as long again.
    const since = performance.now() - deadlineMs * patience + 2;
    for (const seat of seats) {
      const begun = [...seat.jobs.values()].filter((job) => !job.waiting);
      const [oldest, ...behind] = begun;
      if (oldest === undefined) continue;
      watch ??= setTimeout(look, deadlineMs * patience);
      if (seat.stuck || oldest.sentAt > since) continue;
      seat.stuck = true;
      for (const job of behind) move(job);
    }
    fill();
    pump();
  }

  function move(job: Job): void {
    job.seat?.jobs.delete(job.id);
    job.seat = undefined;
    queue.add(job);
  }

  function hear(seat: Seat, message: ThreadMessage, onReady?: (facts: PolicyFacts) => void): void {
    if (message.kind === 'ready') {
      welcome(seat, message.facts, onReady);
      return;
    }
    if (message.kind === 'refused') return;
    const job = seat.jobs.get(message.id);
    seat.stuck = false;
    if (message.kind === 'waiting') {
      if (job !== undefined) job.waiting = true;
      return;
    }
    if (job !== undefined) {
      settle(job);
      if (message.kind === 'failed') job.reject(unpackFailure(message.failure));
      else job.resolve(message.results);
    }
    if (queue.size > 0) pump();
    if (seats.size > wanted) surplus ??= setTimeout(dismiss, surplusMs).unref();
  }

  function welcome(seat: Seat, loaded: PolicyFacts, onReady?: (facts: PolicyFacts) => void): void {
    facts ??= loaded;
    if (loaded.revision !== facts.revision) {
      fail(seat, new Error(`The policy is another one than was loaded: revision ${loaded.revision}.`));
      return;
    }
    // All threads of a pool run what the first one read.
    if (loaded.files !== undefined) policy = { ...policy, files: loaded.files };
    opaModule ??= loaded.opaModule;
    seat.ready = true;
    clearTimeout(seat.loading);
    seat.member.unref();
    refusal = undefined;
    retryMs = firstRetryMs;
    onReady?.(loaded);
    pump();
  }

  /** Starts what is missing. A stuck thread has a successor before it is ended. */
  function fill(): void {
    if (closed || retry !== undefined) return;
    let sound = 0;
    for (const seat of seats) if (!seat.stuck) sound += 1;
    for (; sound < wanted && seats.size < wanted * 2; sound += 1) {
      const seat: Seat = open({
        onMessage(message) {
          if (message.kind === 'refused') fail(seat, unpackFailure(message.failure));
          else hear(seat, message);
        },
        onDeath: (cause) => (seat.ready ? lose(seat, cause) : fail(seat, cause)),
      });
    }
  }

  function open(events: Parameters<typeof startMember>[1]): Seat {
    const member = startMember({ config, policy, opaModule }, events);
    const seat: Seat = { member, jobs: new Map(), ready: false, stuck: false, loading: setTimeout(giveUp, loadMs) };
    seats.add(seat);
    return seat;

    function giveUp(): void {
      events.onDeath(new EvaluationError('policy_deadline', `It was not loaded after ${loadMs / 1000} s.`));
    }
  }

  function leave(seat: Seat): void {
    seats.delete(seat);
    clearTimeout(seat.loading);
    const end = seat.member.end().finally(() => ends.delete(end));
    ends.add(end);
  }

  /** A successor could not be started: tried again, ever more slowly. */
  function fail(seat: Seat, cause: Error): void {
    leave(seat);
    refusal = cause;
    options.onLost(refuse(cause));
    if (closed || retry !== undefined) return;
    retry = setTimeout(() => {
      retry = undefined;
      fill();
    }, retryMs).unref();
    retryMs = Math.min(retryMs * 2, longestRetryMs);
    if (seats.size === 0) for (const job of queue) deny(job, refuse(cause));
  }

  /** A thread is gone, or as good as. The job that it worked on is denied, the others are given to another thread, once. */
  function lose(seat: Seat, cause: EvaluationError): void {
    if (!seats.has(seat)) return;
    leave(seat);
    const jobs = [...seat.jobs.values()];
    const guilty = cause.code === 'policy_deadline' ? undefined : (jobs.find((job) => !job.waiting) ?? jobs[0]);
    for (const job of jobs) {
      if (job === guilty || job.moved) deny(job, cause);
      else {
        job.moved = true;
        move(job);
      }
    }
    options.onLost(cause);
    fill();
    pump();
  }

  function dismiss(): void {
    surplus = undefined;
    let over = seats.size - wanted;
    for (const seat of seats) {
      if (over <= 0) return;
      if (seat.ready && seat.jobs.size === 0) {
        over -= 1;
        leave(seat);
      }
    }
  }
}

function refuse(cause: Error): EvaluationError {
  return new EvaluationError('engine_unavailable', `No thread of the policy could be started: ${cause.message}`, {
    cause,
  });
}

function pick(input: PolicyInput, members: ReadonlySet<string>): Partial<PolicyInput> {
  const picked: Record<string, unknown> = { now_ns: input.now_ns, decision_id: input.decision_id };
  for (const member of members) picked[member] = Reflect.get(input, member);
  return picked;
}

function readResults(text: string): readonly unknown[] {
  const results = parseExactJson(text);
  if (!Array.isArray(results)) throw new TypeError('The engine gave no list of results.');
  return results;
}
