/**
 * Decisions to a decision log service, as OPA sends them. A request costs one reference in a buffer; everything else is done
 * behind it, a little at a time: the event is made and masked (`mask.ts`), gathered and compressed (`batches.ts`), uploaded.
 */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';

import type { DecisionLogConfig } from '../configured/management.ts';
import type { AuditEvent, Measures } from '../types.ts';
import { backOff } from './backoff.ts';
import { type Batch, createBatches } from './batches.ts';
import { type DecisionEvent, type EventContext, makeDecisionEvent } from './decision-event.ts';
import { applyRules, type LogRules } from './mask.ts';
import { createRing } from './ring.ts';
import { post, ServiceError } from './service.ts';

/**
 * What became of an event. `dropped_by_policy`: `data.system.log.drop` said so. `mask_failed`: what is to be masked could
 * not be found out. `buffer_full`: the service took too little for too long. `too_large`: alone more than an upload may be.
 * `refused`: the service does not want it, each time. `lost`: left over when the sidecar ended.
 */
export type EventResult =
  | 'uploaded'
  | 'dropped_by_policy'
  | 'mask_failed'
  | 'buffer_full'
  | 'too_large'
  | 'refused'
  | 'lost';

export interface DecisionLogOptions {
  readonly context: () => EventContext;
  /**
   * What the policies that decided say of their events.
   *
   * @returns undefined where one of them is not known any more
   */
  readonly rules: (event: AuditEvent) => readonly LogRules[] | undefined;
  readonly onEvents: (result: EventResult, count: number) => void;
  /** Told of each upload, with what it failed of. */
  readonly onUpload: (error: ServiceError | undefined) => void;
  readonly onMaskError: (error: unknown, decisionId: string) => void;
}

export interface DecisionLog {
  readonly observe: (event: AuditEvent, measures: Measures) => void;
  /** Uploads as it says from now on; with undefined nothing is gathered any more. */
  configure(config: DecisionLogConfig | undefined): void;
  /** Events that were not uploaded yet. */
  waiting(): number;
  /** Uploads what is left, for as long as is configured. */
  close(): Promise<void>;
}

interface Pending {
  readonly event: AuditEvent;
  readonly measures: Measures;
}

/** Between two looks whether there are events to be made, ms. */
const gatherMs = 250;
/** Work in a row before requests have their turn, ms. */
const sliceMs = 2;
/** Events that are made, and masked, together: a thread that masks is reached once for all of them. */
const groupSize = 16;
/** A service that does not want a batch is asked so often. */
const refusals = 3;
/** Answers that are about what was sent; anything else passes. */
const aboutContent: ReadonlySet<number | undefined> = new Set([400, 413, 415, 422]);

export function createDecisionLog(options: DecisionLogOptions): DecisionLog {
  const { onEvents } = options;
  let config: DecisionLogConfig | undefined;
  let ring = createRing<Pending>(1);
  const batches = createBatches(() => config?.uploadSize ?? 1);
  let packed: Batch[] = [];
  let number = 0;
  /** Taken from the buffer, and not written yet. */
  let inHand = 0;
  let gatherTimer: NodeJS.Timeout | undefined;
  let uploadTimer: NodeJS.Timeout | undefined;
  let gathering: Promise<void> | undefined;
  let uploading: Promise<void> | undefined;
  let failures = 0;
  let refused = 0;
  let closed = false;
  const controller = new AbortController();

  return {
    observe(event, measures) {
      if (config === undefined || closed || event.decision_id === undefined) return;
      if (ring.push({ event, measures })) onEvents('buffer_full', 1);
      gatherTimer ??= setTimeout(gather, gatherMs).unref();
    },
    configure(next) {
      const former = config;
      config = next;
      failures = 0;
      if (next === undefined) {
        const left = waiting();
        ring = createRing(1);
        packed = [];
        while (batches.waiting() > 0) batches.dropOldest();
        if (left > 0) onEvents('lost', left);
        clearTimeout(uploadTimer);
        uploadTimer = undefined;
      } else {
        if (former?.bufferEvents !== next.bufferEvents) ring = resize(ring, next.bufferEvents);
        plan(pause(next));
      }
    },
    waiting,
    async close() {
      closed = true;
      clearTimeout(gatherTimer);
      clearTimeout(uploadTimer);
      if (config !== undefined) await flush(config);
    },
  };

  function waiting(): number {
    return ring.size() + inHand + batches.waiting() + packed.reduce((sum, { events }) => sum + events, 0);
  }

  function resize(former: typeof ring, most: number): typeof ring {
    const next = createRing<Pending>(most);
    let lost = 0;
    for (let pending = former.shift(); pending !== undefined; pending = former.shift())
      if (next.push(pending)) lost += 1;
    if (lost > 0) onEvents('buffer_full', lost);
    return next;
  }

  function gather(): void {
    gatherTimer = undefined;
    gathering ??= gatherAll().finally(() => {
      gathering = undefined;
      if (ring.size() > 0 && !closed) gatherTimer ??= setTimeout(gather, gatherMs).unref();
    });
  }

  /** Never rejects. */
  async function gatherAll(): Promise<void> {
    let began = performance.now();
    for (let group = takeGroup(); group.length > 0; group = takeGroup()) {
      inHand = group.length;
      const texts = group.map(write);
      // A wait for each of them is a turn of the event loop: only where one waits for a mask.
      const written = texts.some((text) => text instanceof Promise) ? await Promise.all(texts) : texts;
      inHand = 0;
      for (const text of written) if (typeof text === 'string') batches.add(text);
      makeRoom();
      if (batches.isFull()) {
        await pack();
        // Where it fails, the pause behind the last failure stands.
        if (failures === 0) plan(0);
      }
      if (performance.now() - began < sliceMs) continue;
      await turn();
      began = performance.now();
    }
  }

  function takeGroup(): readonly Pending[] {
    const group: Pending[] = [];
    for (let pending = ring.shift(); pending !== undefined; pending = ring.shift()) {
      group.push(pending);
      if (group.length === groupSize) break;
    }
    return group;
  }

  /** @returns the event as it is sent; undefined where it is not. Neither throws nor rejects. */
  function write({ event, measures }: Pending): string | undefined | Promise<string | undefined> {
    number += 1;
    try {
      const made = makeDecisionEvent(event, measures, number, options.context());
      if (made === undefined) return undefined;
      const rules = options.rules(event);
      if (rules === undefined) throw new Error('The policy that decided is not loaded any more.');
      const isPlain = rules.every(({ drop, mask }) => drop === undefined && mask === undefined);
      return isPlain ? JSON.stringify(made) : mask(made, rules);
    } catch (error) {
      return fail(error, event.decision_id ?? '');
    }
  }

  async function mask(event: DecisionEvent, rules: readonly LogRules[]): Promise<string | undefined> {
    try {
      const masked = await applyRules(event, rules);
      if (masked === undefined) onEvents('dropped_by_policy', 1);
      return masked && JSON.stringify(masked);
    } catch (error) {
      return fail(error, event.decision_id);
    }
  }

  function fail(error: unknown, decisionId: string): undefined {
    onEvents('mask_failed', 1);
    options.onMaskError(error, decisionId);
    return undefined;
  }

  /** What is packed is older than what is not. The first of them may be on its way. */
  function makeRoom(): void {
    const most = config?.bufferEvents ?? 0;
    while (waiting() > most) {
      const [oldest] = packed.splice(uploading === undefined ? 0 : 1, 1);
      if (oldest !== undefined) onEvents('buffer_full', oldest.events);
      else if (batches.waiting() > 0) {
        batches.dropOldest();
        onEvents('buffer_full', 1);
      } else return;
    }
  }

  async function pack(): Promise<void> {
    const taken = batches.waiting();
    try {
      const { batches: more, tooLarge } = await batches.take();
      packed.push(...more);
      if (tooLarge > 0) onEvents('too_large', tooLarge);
    } catch {
      // Memory that there is not: nobody may be denied for that.
      onEvents('lost', taken);
    }
  }

  function pause({ minDelay, maxDelay }: DecisionLogConfig): number {
    return minDelay + Math.random() * Math.max(0, maxDelay - minDelay);
  }

  function plan(ms: number): void {
    if (closed) return;
    clearTimeout(uploadTimer);
    uploadTimer = setTimeout(() => {
      uploading ??= uploadAll().finally(() => {
        uploading = undefined;
        if (config !== undefined) plan(failures > 0 ? backOff(failures, config.maxDelay) : pause(config));
      });
    }, ms).unref();
  }

  /** Uploads until nothing is left or something fails. Never rejects. */
  async function uploadAll(): Promise<void> {
    // While something is left over, what is new is packed once it is worth it.
    if (packed.length === 0) await pack();
    while (packed.length > 0 && config !== undefined) if (!(await uploadOldest(config))) return;
  }

  /** @returns whether to go on */
  async function uploadOldest({ service, resource }: DecisionLogConfig): Promise<boolean> {
    const [batch] = packed;
    if (batch === undefined) return true;
    try {
      await post(service, { path: resource, body: batch.bytes, gzipped: true, signal: controller.signal });
    } catch (error) {
      const failure = error instanceof ServiceError ? error : new ServiceError(String(error));
      failures += 1;
      options.onUpload(failure);
      refused = aboutContent.has(failure.status) ? refused + 1 : 0;
      if (refused < refusals) return false;
      finish(batch, 'refused');
      return false;
    }
    failures = 0;
    options.onUpload(undefined);
    finish(batch, 'uploaded');
    return true;
  }

  function finish(batch: Batch, result: EventResult): void {
    refused = 0;
    const at = packed.indexOf(batch);
    // Gone where the log was switched off meanwhile, and counted then.
    if (at < 0) return;
    packed.splice(at, 1);
    onEvents(result, batch.events);
  }

  async function flush(last: DecisionLogConfig): Promise<void> {
    const endsAt = performance.now() + last.shutdown;
    const end = sleep(last.shutdown, undefined, { ref: false }).then(() => controller.abort());
    const work = (async () => {
      await gathering;
      await gatherAll();
      await uploading;
      await pack();
      while (packed.length > 0 && performance.now() < endsAt) {
        if (!(await uploadOldest(last))) await sleep(Math.min(backOff(failures, 1000), last.shutdown));
      }
    })();
    await Promise.race([work, end]);
    const left = waiting();
    if (left > 0) onEvents('lost', left);
  }
}
