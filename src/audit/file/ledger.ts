/**
 * Writes lines to the audit file as links of one chain, several at a time. Who needs a line to be on disk waits for the
 * group that it is in; everything else is written within a moment. What the disk does not take is kept, up to a bound, and
 * tried again: the chain never has a hole that it does not tell of.
 */
import { createGroup, type Group, type Line, roomFor, sealAll, type Waiter } from './group.ts';
import type { HeadReason } from './heads.ts';
import type { Link } from './seal.ts';
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
  /**
   * @param json an object with a member at least; where it is a function, made at the end of the turn of the event loop that
   *   brings the next one that is text, or when it is written
   */
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

/** A line that is not sealed yet. */
interface Waiting extends Line {
  /** Empty as long as it is not made. */
  json: string;
  make?: (() => string) | undefined;
}

const defaults = {
  delayMs: 100,
  retryMs: 1000,
  patienceMs: 5000,
  most: { lines: 50_000, bytes: 64 * 1024 * 1024 },
} as const;
/** Lines that are made later hold what they are made of. */
const mostUnmade = 256;
/** Lines that are worth a write. */
const enoughInGroup = 256;
/**
 * Memory of a group. There are two, one that is written and one that is filled: fresh memory costs as much as what is put
 * there, and what is larger than the processor's own as well.
 */
const groupBytes = 512 * 1024;
/** Stands for a line that could not be made. */
const unmade = '{"lost":true}';

export function createLedger(options: LedgerOptions): Ledger {
  const { store } = options;
  const { delayMs, retryMs, patienceMs, most } = { ...defaults, ...options };
  const groups: readonly [Group, Group] = [
    createGroup(Buffer.allocUnsafe(groupBytes)),
    createGroup(Buffer.allocUnsafe(groupBytes)),
  ];
  /** The end of the chain as it stands in the file. */
  let last = options.after;
  let writing: Group | undefined;
  /** Follows what is being written, or else what is in the file. */
  let filling: Group = groups[0];
  /** Behind that: for the rest of this turn, while there is no room, and while the disk takes nothing. */
  let waiting: Waiting[] = [];
  /** Of those that wait, characters; as far as they are made. */
  let waitingSize = 0;
  let unmadeLines = 0;
  let fillDue = false;
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
  filling.begin(last);

  /** Lines that are not being written yet. */
  function held(): number {
    return filling.count() + waiting.length;
  }

  function put(line: Waiting): void {
    const { json, waiter } = line;
    if (held() >= most.lines || filling.size() + waitingSize + json.length > most.bytes) {
      lost += 1;
      options.onLost(1, failure ?? new Error('the disk is slower than the requests'));
      waiter?.reject(failure ?? new Error('too many lines wait for the disk'));
      return;
    }
    waiting.push(line);
    waitingSize += json.length;
    if (line.make !== undefined) unmadeLines += 1;
  }

  function add(event: string, json: string | (() => string), waiter?: Waiter): void {
    if (closed) {
      waiter?.reject(new Error('the audit file is closed'));
      return;
    }
    const isText = typeof json === 'string';
    const line = { event, json: isText ? json : '', make: isText ? undefined : json, waiter };
    // What it is made of would be held for as long as the disk takes nothing.
    if (failure !== undefined) make(line);
    put(line);
    // What waits would outlive its request: to the garbage collector that is dear. In a row with what else this turn brings,
    // because one by one it takes a fifth longer.
    if (isText || unmadeLines > mostUnmade) fillSoon();
    schedule(waiter !== undefined || held() >= enoughInGroup);
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
      else if (held() > 0) timer ??= setTimeout(run, delayMs);
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
    fill();
    if (filling.count() === 0) return;
    const hadRoom = waiting.length === 0;
    const group = filling;
    filling = group === groups[0] ? groups[1] : groups[0];
    filling.begin(group.end());
    writing = group;
    try {
      await store.append(group.bytes(), last.seq + 1);
    } catch (error) {
      putBack([...group.lines(), ...filling.lines()]);
      throw error;
    } finally {
      writing = undefined;
    }
    last = group.end();
    unvouched += group.count();
    if (!hadRoom) urgent = true;
    for (const waiter of group.waiters()) waiter.resolve();
  }

  function fillSoon(): void {
    if (fillDue) return;
    fillDue = true;
    setImmediate(() => {
      fillDue = false;
      // While the disk takes nothing, what waits stays as it is: where it will stand in the chain is not known.
      if (failure === undefined && !closed) fill();
    });
  }

  /** Seals what waits, as much of it as has room. */
  function fill(): void {
    makeAll();
    const [first] = waiting;
    if (first === undefined) return;
    if (filling.count() === 0 && writing === undefined && roomFor(first.json) > groupBytes) {
      filling = createGroup(Buffer.allocUnsafe(roomFor(first.json)));
      filling.begin(last);
    }
    let sealed = 0;
    for (const { event, json, waiter } of waiting) {
      if (!filling.add(event, json, waiter)) break;
      sealed += 1;
    }
    if (sealed > 0) setWaiting(waiting.slice(sealed));
  }

  function makeAll(): void {
    // From the last one on: in front of them there may be many that wait for the disk.
    for (let at = waiting.length - 1; at >= 0 && unmadeLines > 0; at -= 1) {
      const line = waiting[at];
      if (line?.make === undefined) continue;
      make(line);
      unmadeLines -= 1;
      waitingSize += line.json.length;
    }
  }

  /** A line that can't be made is lost, and leaves the others as they are. */
  function make(line: Waiting): void {
    try {
      line.json = line.make?.() ?? line.json;
    } catch (error) {
      options.onLost(1, error);
      line.waiter?.reject(error);
      line.json = unmade;
    }
    line.make = undefined;
  }

  /** What was sealed will stand behind another line than the one it was sealed behind. */
  function putBack(lines: readonly Line[]): void {
    setWaiting([...lines, ...waiting]);
    filling.begin(last);
  }

  function setWaiting(lines: Waiting[]): void {
    waiting = lines;
    waitingSize = lines.reduce((sum, { json }) => sum + json.length, 0);
  }

  async function lookIfDue(): Promise<void> {
    if (!lookDue) return;
    lookDue = false;
    if (!(await store.isInPlace())) open('vanished');
  }

  function open(reason: 'start' | 'rotation' | 'vanished'): void {
    // In front of what is there already: it says whose lines they are.
    putBack([{ event: 'open', json: JSON.stringify(options.opening(reason)) }, ...filling.lines()]);
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
    // They would hold what they are made of for as long as this takes.
    makeAll();
    for (const waiter of [...(writing?.waiters() ?? []), ...filling.waiters()]) waiter.reject(error);
    for (const { waiter } of waiting) waiter?.reject(error);
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
    makeAll();
    const lines = held();
    // Once more what is being written: nobody will say whether it was.
    const sealed = [...(writing === undefined ? [] : [writing.bytes()]), filling.bytes()];
    try {
      store.appendNow(Buffer.concat([...sealed, sealAll(filling.end(), waiting).bytes]));
    } catch (error) {
      options.onLost(lines, error);
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
      if (unvouched <= 0 && held() === 0) return;
      headReason ??= 'interval';
      if (failure === undefined) void run();
    },
    look() {
      lookDue = true;
      if (failure === undefined) void run();
    },
    async settle() {
      while (held() > 0 && failure === undefined) await run();
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
      else options.onLost(held(), failure);
      clearTimeout(timer);
      await store.close();
    },
  };
}
