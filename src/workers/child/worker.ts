/** A worker: serves requests, and does what the primary says. */
import { performance } from 'node:perf_hooks';

import type { Served } from '../../composition/served.ts';
import type { DrainState } from '../../http/drain.ts';
import { packError } from '../failure.ts';
import type { FromWorker, Question, Questions, Subject, ToWorker, Vitals } from '../messages.ts';
import { type Begun, begin } from './begin.ts';

type Handlers = { readonly [S in Subject]: (ask: Questions[S]['ask']) => Promise<Questions[S]['answer']> };

/** Whoever wants to know more exactly asks. */
const vitalsMs = 1000;
/** Of keys and files: for operators. */
const identityEvery = 4;

export function startWorker(): void {
  let drainState: DrainState = 'serving';
  let begun: Begun | undefined;
  let served: Served | undefined;
  let beats = 0;
  /** One after the other: what decides is what came last. */
  let last: Promise<unknown> = Promise.resolve();

  const handlers: Handlers = {
    start: (start) =>
      inTurn(async () => {
        drainState = start.drainState;
        begun = await begin(start, say);
        return undefined;
      }),
    load: (offer) => inTurn(() => ready().replica.load(offer)),
    decide: (choices) =>
      inTurn(async () => {
        await ready().replica.decide(choices);
        return undefined;
      }),
    serve: () => inTurn(serve),
    async tell() {
      tellNow();
      say({ kind: 'vitals', vitals: describe(true) });
    },
    async look() {
      await served?.look();
    },
    end,
  };

  process.on('message', (message: ToWorker) => hear(message));
  process.on('uncaughtExceptionMonitor', tellNow);
  setInterval(() => say({ kind: 'vitals', vitals: describe(beats++ % identityEvery === 0) }), vitalsMs);

  function hear(message: ToWorker): void {
    switch (message.kind) {
      case 'ask':
        void answer(message);
        return;
      case 'drop':
        void inTurn(async () => begun?.replica.drop(message.id));
        return;
      case 'drain':
        drainState = message.state;
        return;
      case 'log_level':
        if (begun !== undefined) begun.log.level = message.level;
        return;
      case 'audit_fails':
        begun?.outbox.auditFails(message.fails);
        return;
      case 'admitted':
        begun?.outbox.admitted(message.id, message.refused);
    }
  }

  async function answer(question: Question): Promise<void> {
    const { id } = question;
    try {
      const value = await run(question);
      say({ kind: 'answer', id, value });
    } catch (error) {
      say({ kind: 'failed', id, failure: packError(error) });
    }
  }

  function run(question: Question): Promise<unknown> {
    switch (question.about) {
      case 'start':
        return handlers.start(question.ask);
      case 'load':
        return handlers.load(question.ask);
      case 'decide':
        return handlers.decide(question.ask);
      case 'end':
        return handlers.end(question.ask);
      default:
        return handlers[question.about](undefined);
    }
  }

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  }

  function ready(): Begun {
    if (begun === undefined) throw new Error('The worker was not told what to begin with.');
    return begun;
  }

  async function serve(): Promise<number> {
    const { replica, outbox, prepared } = ready();
    served = await prepared.serve({
      policy: replica.deciding,
      shadow: replica.shadow,
      observers: [outbox.observe],
      admit: outbox.admit,
      drainState: () => drainState,
      // The files may have changed since the sidecar started.
      looksFirst: true,
    });
    // Who asks whether the sidecar is ready is told so from now on.
    say({ kind: 'vitals', vitals: describe(true) });
    return served.data.port;
  }

  function tellNow(): void {
    void served?.tellNow();
    begun?.outbox.flush();
  }

  async function end(graceMs: number): Promise<undefined> {
    await served?.end(graceMs);
    served?.close();
    await begun?.replica.close();
    tellNow();
    say({ kind: 'vitals', vitals: describe(false) });
  }

  function describe(withIdentity: boolean): Vitals {
    const { user, system } = process.cpuUsage();
    return {
      inFlight: served?.inFlight() ?? 0,
      notReady: served?.notReady() ?? ['a worker does not take connections yet'],
      engines: begun?.replica.engines() ?? [],
      expiries: [...(served?.expiries() ?? [])],
      identity: withIdentity ? served?.describeIdentity() : undefined,
      residentBytes: process.memoryUsage.rss(),
      cpuS: (user + system) / 1e6,
      busyS: performance.eventLoopUtilization().active / 1000,
    };
  }
}

function say(message: FromWorker, onSent: () => void = () => {}): void {
  // Of a primary that is gone the event tells that ends this process.
  if (process.connected) process.send?.(message, undefined, undefined, onSent);
}
