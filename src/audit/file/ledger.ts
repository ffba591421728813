/**
 * Writes lines to the audit file as links of one chain, several at a time. Who needs a line to be on disk waits for the
 * group that it is in; everything else is written within a moment. What the disk does not take is kept, up to a bound, and
 * tried again: the chain never has a hole that it does not tell of.
 */
import type { HeadReason } from './heads.ts';
import { type Link, type Sealable, sealAll } from './seal.ts';
import type { Store } from './store.ts';

export interface LedgerOptions {
  readonly store: Omit<Store, 'found'>;
  /** What the first line follows. */
  readonly after: Link;
  /** Whether what `append` has taken is on disk. */
  readonly synced: boolean;
  readonly rotate: { readonly bytes: number; readonly everyMs: number };
  /** Members of the line that says who goes on, at the start and at the beginning of each file. */
  readonly opening: (reason: 'start' | 'rotation' | 'vanished') => Readonly<Record<string, unknown>>;
  /** Told of each end of the chain that is to be vouched for: it is on disk. @returns the signed head, to stand in a line */
  readonly onHead?: ((link: Link, reason: HeadReason) => string) | undefined;
  /** Told once when lines can't be written, and once when they can again. */
  readonly onFailing: (error: unknown) => void;
  readonly onRecovered: () => void;
  /** Lines that are not kept any longer. */
  readonly onLost: (lines: number, error: unknown) => void;
  readonly onNotRotated: (error: unknown) => void;
  readonly delayMs?: number;
  readonly retryMs?: number;
  /** What may wait for the disk. */
  readonly most?: { readonly lines: number; readonly bytes: number };
  /** How long the disk may take before those who wait are told that it failed. */
  readonly patienceMs?: number;
}

export interface Ledger {
  /** @param json an object with a member at least; made with the next one that is text, or when it is written, where it is a function */
  add(event: string, json: string | (() => string)): void;
  /** Rejects where the line is not on disk: it may still get there. */
  addAndWait(event: string, json: string | (() => string)): Promise<void>;
  /** Why lines can't be written; undefined where they can. */
  failure(): unknown;
  /** Of the chain as it stands in the file. */
  end(): Link;
  /** Vouches for what was written since the last time, if anything. */
  vouch(): void;
  /** Looks whether the file is still there, and whether it is time for the next one. */
  look(): void;
  /** Once the first line is written, or could not be. */
  readonly started: Promise<void>;
  /** Waits until what was added is in the file, or could not be written. */
  settle(): Promise<void>;
  flushNow(): void;
  close(): Promise<void>;
}

interface Line extends Sealable {
  /** Empty as long as it is not made. */
  json: string;
  make?: (() => string) | undefined;
  waiter?: { resolve(): void; reject(error: unknown): void } | undefined;
}

const defaults = {
  delayMs: 100,
  retryMs: 1000,
  patienceMs: 5000,
  most: { lines: 50_000, bytes: 64 * 1024 * 1024 },
} as const;
/** Lines that are made later hold what they are made of. */
const mostUnmade = 256;
const mostInGroup = 5000;
/** Lines that are worth a write. More of them would live so long that moving them about costs more than the write. */
const enoughInGroup = 256;
/** Memory that groups are put together in, one after the other: fresh memory costs as much as what is put there. */
const roomBytes = 1536 * 1024;
/** Stands for a line that could not be made. */
const unmade = '{"lost":true}';

export function createLedger(options: LedgerOptions): Ledger {
  const { store } = options;
  const { delayMs, retryMs, patienceMs, most } = { ...defaults, ...options };
  const room = Buffer.allocUnsafe(roomBytes);
  let last = options.after;
  let waiting: Line[] = [];
  let waitingBytes = 0;
  /** Of those that wait. */
  let unmadeLines: Line[] = [];
  /** Being written, and where the chain ends with them. */
  let group: Line[] = [];
  let groupBytes: Buffer | undefined;
  let groupEnd = last;
  let running: Promise<void> | undefined;
  let urgent = false;
  let timer: NodeJS.Timeout | undefined;
  let failure: unknown;
  let lost = 0;
  let notRotatedBeforeMs = 0;
  let unvouched = 0;
  let headReason: HeadReason | undefined = 'start';
  let lookDue = false;
  let closed = false;

  /** @returns whether it waits now, or is lost */
  function put(line: Line, first = false): boolean {
    const bytes = line.json.length;
    if (waiting.length >= most.lines || waitingBytes + bytes > most.bytes) {
      lost += 1;
      options.onLost(1, failure ?? new Error('the disk is slower than the requests'));
      line.waiter?.reject(failure ?? new Error('too many lines wait for the disk'));
      return false;
    }
    waitingBytes += bytes;
    if (first) waiting.unshift(line);
    else waiting.push(line);
    return true;
  }

  function add(event: string, json: string | (() => string), waiter?: Line['waiter']): void {
    if (closed) {
      waiter?.reject(new Error('the audit file is closed'));
      return;
    }
    if (typeof json === 'string') {
      // What they are made of would outlive its request by as long as a line waits: to the garbage collector that is dear.
      waitingBytes += sizeOf(makeAll(unmadeLines));
      unmadeLines = [];
      put({ event, json, make: undefined, waiter });
    } else if (unmadeLines.length > mostUnmade || failure !== undefined) {
      put({ event, json: json(), make: undefined, waiter });
    } else {
      const line: Line = { event, json: '', make: json, waiter };
      if (put(line)) unmadeLines.push(line);
    }
    schedule(waiter !== undefined || waiting.length >= enoughInGroup);
  }

  function schedule(now: boolean): void {
    if (failure !== undefined) return;
    if (now && !urgent) {
      urgent = true;
      // What else this turn of the event loop brings goes into the same group.
      if (running === undefined) setImmediate(run);
    } else if (!now && running === undefined && !urgent) {
      timer ??= setTimeout(run, delayMs);
    }
  }

  function run(): Promise<void> {
    running ??= work().finally(() => {
      running = undefined;
      if (failure !== undefined) timer ??= setTimeout(run, retryMs).unref();
      else if (urgent) setImmediate(run);
      else if (waiting.length > 0) timer ??= setTimeout(run, delayMs);
    });
    return running;
  }

  async function work(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const late = setTimeout(() => fail(new Error(`the disk takes longer than ${patienceMs} ms`)), patienceMs);
    try {
      do {
        urgent = false;
        await lookIfDue();
        await rotateIfDue();
        await writeGroup();
        late.refresh();
        await vouchIfDue();
        late.refresh();
      } while (urgent || headReason !== undefined);
      recover();
    } catch (error) {
      fail(error);
    } finally {
      clearTimeout(late);
    }
  }

  async function writeGroup(): Promise<void> {
    if (waiting.length === 0) return;
    waitingBytes += sizeOf(makeAll(unmadeLines));
    unmadeLines = [];
    group = waiting;
    waiting = group.length > mostInGroup ? group.splice(mostInGroup) : [];
    waitingBytes = waiting.length === 0 ? 0 : Math.max(0, waitingBytes - sizeOf(group));
    ({ bytes: groupBytes, link: groupEnd } = sealAll(last, group, room));
    try {
      await store.append(groupBytes, last.seq + 1);
    } catch (error) {
      waiting = [...group, ...waiting];
      waitingBytes += sizeOf(group);
      throw error;
    } finally {
      groupBytes = undefined;
    }
    last = groupEnd;
    unvouched += group.length;
    if (waiting.length > 0 && group.length === mostInGroup) urgent = true;
    for (const line of group) line.waiter?.resolve();
    group = [];
  }

  /** A line that can't be made is lost, and leaves the others as they are. */
  function makeAll(lines: readonly Line[]): readonly Sealable[] {
    for (const line of lines) {
      const { make } = line;
      if (make === undefined) continue;
      line.make = undefined;
      try {
        line.json = make();
      } catch (error) {
        options.onLost(1, error);
        line.waiter?.reject(error);
        line.json = unmade;
      }
    }
    return lines;
  }

  async function lookIfDue(): Promise<void> {
    if (!lookDue) return;
    lookDue = false;
    if (!(await store.isInPlace())) open('vanished');
  }

  function open(reason: 'start' | 'rotation' | 'vanished'): void {
    put({ event: 'open', json: JSON.stringify(options.opening(reason)) }, true);
  }

  async function rotateIfDue(): Promise<void> {
    const { bytes, everyMs } = options.rotate;
    const nowMs = Date.now();
    const isFull = store.bytes() >= bytes || (everyMs > 0 && nowMs - store.begunMs() >= everyMs);
    if (store.bytes() === 0 || !isFull || nowMs < notRotatedBeforeMs) return;
    await vouch('rotation');
    try {
      await store.rotate();
    } catch (error) {
      notRotatedBeforeMs = nowMs + 60_000;
      // Where it was put aside and the next one can't be begun, writing fails, and is tried again.
      options.onNotRotated(error);
    }
    if (store.bytes() === 0) open('rotation');
  }

  async function vouchIfDue(): Promise<void> {
    const reason = headReason;
    headReason = undefined;
    if (reason !== undefined && unvouched > 0) await vouch(reason);
  }

  async function vouch(reason: HeadReason): Promise<void> {
    if (options.onHead === undefined) return;
    if (!options.synced) await store.sync();
    const head = options.onHead(last, reason);
    // The line with the head is no reason for another one.
    unvouched = -1;
    if (reason !== 'close') put({ event: 'head', json: `{"head":${head}}` });
  }

  function fail(error: unknown): void {
    const isNew = failure === undefined;
    failure = error;
    for (const line of [...group, ...waiting]) {
      line.waiter?.reject(error);
      line.waiter = undefined;
    }
    // They would hold what they are made of for as long as this takes.
    makeAll(unmadeLines);
    unmadeLines = [];
    waitingBytes = sizeOf(waiting);
    if (isNew) options.onFailing(error);
  }

  function recover(): void {
    if (failure === undefined) return;
    failure = undefined;
    options.onRecovered();
    if (lost > 0) put({ event: 'gap', json: JSON.stringify({ time: new Date().toISOString(), lost }) });
    lost = 0;
  }

  function flushNow(): void {
    // Once more what is being written: nobody will say whether it was.
    makeAll(unmadeLines);
    const rest = sealAll(groupBytes === undefined ? last : groupEnd, waiting);
    try {
      store.appendNow(Buffer.concat([...(groupBytes === undefined ? [] : [groupBytes]), rest.bytes]));
    } catch (error) {
      options.onLost(waiting.length, error);
    }
    closed = true;
  }

  open('start');
  const started = run();

  return {
    started,
    add,
    addAndWait: (event, json) => new Promise((resolve, reject) => add(event, json, { resolve, reject })),
    failure: () => failure,
    end: () => last,
    vouch() {
      if (unvouched <= 0 && waiting.length === 0) return;
      headReason ??= 'interval';
      if (failure === undefined) void run();
    },
    look() {
      lookDue = true;
      if (failure === undefined) void run();
    },
    async settle() {
      while (waiting.length > 0 && failure === undefined) await run();
    },
    flushNow,
    async close() {
      if (closed) return;
      put({ event: 'close', json: JSON.stringify({ time: new Date().toISOString() }) });
      closed = true;
      await running;
      clearTimeout(timer);
      await run();
      if (failure === undefined) await vouch('close');
      else options.onLost(waiting.length, failure);
      clearTimeout(timer);
      await store.close();
    },
  };
}

function sizeOf(lines: readonly Sealable[]): number {
  return lines.reduce((sum, { json }) => sum + json.length, 0);
}
