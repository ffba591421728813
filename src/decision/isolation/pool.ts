/**
 * A policy in threads of its own. Evaluation can't be interrupted, a thread can: one that passes its deadline is ended, the
 * request that it worked on is denied, and another takes its place.
 *
 * A caller who can make the policy slow must not be able to deny others. So a thread that has not answered for a part of the
 * deadline counts as stuck from then on: what was handed to it and not begun goes elsewhere, and its successor is started
 * while it still has time to answer.
 */
import { EvaluationError } from '../../errors.ts';
import type { LoadedPolicy, PolicyInput } from '../../types.ts';
import { type AnswerMessage, createCrew, type Seat } from './crew.ts';
import { readResults, writeInput } from './input-text.ts';
import type { EvaluateMessage, ThreadData } from './messages.ts';
import { unpackFailure } from './pack.ts';

export interface PoolOptions extends ThreadData {
  /** Evaluations that one thread is handed at once: more than one only for engines that wait for something. */
  readonly concurrency: number;
  /** The thread keeps the deadline itself: it is ended only if it does not. */
  readonly keepsDeadline: boolean;
  /** A thread was lost and is being replaced. */
  readonly onLost: (cause: EvaluationError) => void;
}

interface Job extends Omit<EvaluateMessage, 'leftMs'> {
  /** With the results as JSON. */
  readonly resolve: (results: string) => void;
  readonly reject: (error: unknown) => void;
  /** On the clock of `performance.now`, ms. */
  readonly endsAt: number;
  timer: NodeJS.Timeout | undefined;
  seat: Seat<Job> | undefined;
  sentAt: number;
  /** The engine waits for something and holds up nobody. */
  waiting: boolean;
  /** Lost its thread once without being to blame. */
  moved: boolean;
}

/** After this part of the deadline without an answer a thread counts as stuck. */
const patience = 0.25;
/** For a thread that keeps the deadline itself; past this it is stuck, ms. */
const graceMs = 40;

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
  const queue = new Set<Job>();
  let lastId = 0;
  let outstanding = 0;
  let closed = false;
  let idle: (() => void) | undefined;
  let watch: NodeJS.Timeout | undefined;

  const crew = createCrew<Job>({
    config,
    policy: options.policy,
    wanted,
    onLost: options.onLost,
    onAnswer: hear,
    onReady: pump,
    onDeath: lose,
    onDeserted(cause) {
      for (const job of queue) deny(job, cause);
    },
  });
  const { seats } = crew;
  const first = await crew.start();
  crew.fill();

  return {
    revision: first.revision,
    entrypoints: first.entrypoints,
    reads: first.reads,
    codes: first.codes,
    deterministic: first.deterministic,
    files: first.files,
    shape: (entrypoint) => first.shapes.get(entrypoint) ?? 'unknown',
    notReady: () => crew.refusal()?.message,
    evaluate,
    async close() {
      closed = true;
      crew.stop();
      // Each ends within its deadline.
      if (outstanding > 0) {
        await new Promise<void>((resolve) => {
          idle = resolve;
        });
      }
      clearTimeout(watch);
      await crew.end();
    },
  };

  function evaluate(entrypoint: string, input: PolicyInput): Promise<readonly unknown[]> {
    if (closed) return Promise.reject(new EvaluationError('policy_unavailable', 'The policy was closed.'));
    const refusal = crew.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise<string>((resolve, reject) => {
      lastId += 1;
      const job: Job = {
        id: lastId,
        entrypoint,
        ...writeInput(input, first.reads),
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

  function choose(): Seat<Job> | undefined {
    let best: Seat<Job> | undefined;
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
    crew.fill();
    pump();
  }

  function move(job: Job): void {
    job.seat?.jobs.delete(job.id);
    job.seat = undefined;
    queue.add(job);
  }

  function hear(seat: Seat<Job>, message: AnswerMessage): void {
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
    crew.thinOut();
  }

  /** A thread is gone, or as good as. The job that it worked on is denied, the others are given to another thread, once. */
  function lose(seat: Seat<Job>, cause: EvaluationError): void {
    if (!seats.has(seat)) return;
    crew.leave(seat);
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
    crew.fill();
    pump();
  }
}
