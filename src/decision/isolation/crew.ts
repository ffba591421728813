/**
 * The threads of a policy: started, replaced when they are lost, and as many as are wanted. What they work on is the pool's
 * (`pool.ts`).
 */
import { EvaluationError, PolicyError } from '../../errors.ts';
import { type Member, startMember } from './member.ts';
import type { PolicyFacts, ThreadData, ThreadMessage } from './messages.ts';
import { unpackFailure } from './pack.ts';

/** The place of one thread, and what it was handed. */
export interface Seat<Job> {
  readonly member: Member;
  /** By number, the oldest first. */
  readonly jobs: Map<number, Job>;
  ready: boolean;
  /** It has not answered for so long that it is not counted on. */
  stuck: boolean;
  /** Ends one that does not get ready. */
  readonly loading: NodeJS.Timeout;
}

/** What threads say of their work. */
export type AnswerMessage = Exclude<ThreadMessage, { readonly kind: 'ready' | 'refused' }>;

export interface CrewOptions<Job> extends ThreadData {
  /** How many threads there should be. */
  readonly wanted: number;
  /** A thread could not be started. */
  readonly onLost: (cause: EvaluationError) => void;
  readonly onAnswer: (seat: Seat<Job>, message: AnswerMessage) => void;
  /** A thread is ready for work. */
  readonly onReady: () => void;
  /** A thread that was ready has ended; it is still among the seats. */
  readonly onDeath: (seat: Seat<Job>, cause: EvaluationError) => void;
  /** There is no thread any more, and none could be started. */
  readonly onDeserted: (cause: EvaluationError) => void;
}

export interface Crew<Job> {
  readonly seats: ReadonlySet<Seat<Job>>;
  /** Why no thread could be started, while none can and none is there. */
  refusal(): EvaluationError | undefined;
  /**
   * The first thread, once it has loaded the policy.
   *
   * @throws PolicyError that the engine gave for the policy, or where it does not fit into policy.memory
   */
  start(): Promise<PolicyFacts>;
  /** Starts what is missing. A stuck thread has a successor before it is ended. */
  fill(): void;
  /** Ends a thread whatever it does. */
  leave(seat: Seat<Job>): void;
  /** Ends those that are more than wanted, in a while and where they have nothing to do. */
  thinOut(): void;
  /** Starts none any more. */
  stop(): void;
  /** Ends all of them. */
  end(): Promise<void>;
}

/** Threads more than wanted, left over when a stuck one answers after all, stay for this long, ms. */
const surplusMs = 10_000;
/** To load a policy; seconds are what 50 MB of data take, ms. */
const loadMs = 60_000;
const firstRetryMs = 100;
const longestRetryMs = 5000;

export function createCrew<Job>(options: CrewOptions<Job>): Crew<Job> {
  const { config, wanted } = options;
  const seats = new Set<Seat<Job>>();
  const ends = new Set<Promise<void>>();
  let { policy } = options;
  let opaModule: WebAssembly.Module | undefined;
  let facts: PolicyFacts | undefined;
  let stopped = false;
  let retryMs = firstRetryMs;
  let retry: NodeJS.Timeout | undefined;
  let surplus: NodeJS.Timeout | undefined;
  let refusal: Error | undefined;

  return {
    seats,
    refusal: () => (refusal === undefined || seats.size > 0 ? undefined : refuse(refusal)),
    start,
    fill,
    leave,
    thinOut() {
      if (seats.size > wanted) surplus ??= setTimeout(dismiss, surplusMs).unref();
    },
    stop() {
      stopped = true;
      clearTimeout(retry);
      clearTimeout(surplus);
    },
    async end() {
      for (const seat of seats) leave(seat);
      await Promise.all(ends);
    },
  };

  function start(): Promise<PolicyFacts> {
    return new Promise((resolve, reject) => {
      const seat: Seat<Job> = open({
        onMessage(message) {
          if (message.kind === 'refused') {
            leave(seat);
            reject(unpackFailure(message.failure));
          } else hear(seat, message, resolve);
        },
        onDeath(cause) {
          if (facts !== undefined) return options.onDeath(seat, cause);
          leave(seat);
          reject(new PolicyError(`The policy could not be loaded. ${cause.message}`, [], { cause }));
        },
      });
    });
  }

  function fill(): void {
    if (stopped || retry !== undefined) return;
    let sound = 0;
    for (const seat of seats) if (!seat.stuck) sound += 1;
    for (; sound < wanted && seats.size < wanted * 2; sound += 1) {
      const seat: Seat<Job> = open({
        onMessage(message) {
          if (message.kind === 'refused') fail(seat, unpackFailure(message.failure));
          else hear(seat, message);
        },
        onDeath: (cause) => (seat.ready ? options.onDeath(seat, cause) : fail(seat, cause)),
      });
    }
  }

  function open(events: Parameters<typeof startMember>[1]): Seat<Job> {
    const member = startMember({ config, policy, opaModule }, events);
    const seat: Seat<Job> = {
      member,
      jobs: new Map(),
      ready: false,
      stuck: false,
      loading: setTimeout(giveUp, loadMs),
    };
    seats.add(seat);
    return seat;

    function giveUp(): void {
      events.onDeath(new EvaluationError('policy_deadline', `It was not loaded after ${loadMs / 1000} s.`));
    }
  }

  function hear(
    seat: Seat<Job>,
    message: Exclude<ThreadMessage, { readonly kind: 'refused' }>,
    onFacts?: (facts: PolicyFacts) => void,
  ): void {
    if (message.kind === 'ready') welcome(seat, message.facts, onFacts);
    else options.onAnswer(seat, message);
  }

  function welcome(seat: Seat<Job>, loaded: PolicyFacts, onFacts?: (facts: PolicyFacts) => void): void {
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
    onFacts?.(loaded);
    options.onReady();
  }

  function leave(seat: Seat<Job>): void {
    seats.delete(seat);
    clearTimeout(seat.loading);
    const end = seat.member.end().finally(() => ends.delete(end));
    ends.add(end);
  }

  /** A successor could not be started: tried again, ever more slowly. */
  function fail(seat: Seat<Job>, cause: Error): void {
    leave(seat);
    refusal = cause;
    options.onLost(refuse(cause));
    if (stopped || retry !== undefined) return;
    retry = setTimeout(() => {
      retry = undefined;
      fill();
    }, retryMs).unref();
    retryMs = Math.min(retryMs * 2, longestRetryMs);
    if (seats.size === 0) options.onDeserted(refuse(cause));
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
