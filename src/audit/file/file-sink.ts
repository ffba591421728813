/**
 * The audit file as a sink: `decision` before a request is handed to the upstream, `completion` when it has ended, each a
 * link of the chain. With `durability: strict` a request waits until its `decision` is on disk.
 */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import type { AuditFileConfig } from '../../configured/audit.ts';
import { ConfigError, RequestError } from '../../errors.ts';
import type { AuditSink } from '../sink.ts';
import { createSignHead } from './heads.ts';
import { createLedger } from './ledger.ts';
import { type FileLock, takeLock } from './lock.ts';
import { listOutdated } from './retention.ts';
import { origin } from './seal.ts';
import { listClosed } from './segments.ts';
import { openStore, type Store } from './store.ts';

export interface FileSinkOptions {
  /** Of the sidecar, for the line that says who began to write. */
  readonly version: string;
  /** Takes each signed head, one line without its end. */
  readonly sendHead: (line: string) => void;
  readonly events: FileSinkEvents;
  /** For tests. */
  readonly delayMs?: number;
}

export interface FileSinkEvents {
  /** Lines that were given up. */
  lost(lines: number, error: unknown): void;
  /** A request went on although its line is not on disk (`on_failure: continue`). */
  unrecorded(): void;
  failing(error: unknown): void;
  recovered(): void;
  notRotated(error: unknown): void;
  /** What was found behind the last whole line at the start, bytes; and lines that are not what was written. */
  torn(bytes: number, damagedLines: number): void;
  removed(files: readonly string[]): void;
}

export interface FileSink extends AuditSink {
  readonly chain: string;
  /** Whether lines can't be written at the moment. */
  isFailing(): boolean;
  /** Looks now whether the file is still there and whether it is time for the next one; else every five seconds. */
  look(): void;
  /** Waits until what was taken is in the file, or could not be written. */
  settle(): Promise<void>;
}

const lookMs = 5000;
const retainMs = 3_600_000;
const closeMs = 5000;
/** Another sidecar that is about to end, as in a rolling update. */
const lockWaitMs = 2000;

/** @throws ConfigError where the file can't be used, or another process writes to it */
export async function openFileSink(config: AuditFileConfig, options: FileSinkOptions): Promise<FileSink> {
  const { events } = options;
  const isStrict = config.durability === 'strict';
  const [store, lock] = await openLocked(config, isStrict);
  const { found } = store;
  const chain = found?.chain ?? randomUUID();
  let toldOfTail = false;
  if (found !== undefined && found.torn > 0) events.torn(found.torn, found.damagedLines);

  const signHead = config.heads && createSignHead(config.heads.key);
  const ledger = createLedger({
    store,
    after: found?.link ?? origin,
    synced: isStrict,
    rotate: { bytes: config.rotate.size, everyMs: config.rotate.every },
    opening(reason) {
      const tail = !toldOfTail && found !== undefined && found.torn > 0 ? found : undefined;
      toldOfTail = true;
      if (reason === 'rotation') setImmediate(retain);
      return {
        time: new Date().toISOString(),
        chain,
        reason,
        version: options.version,
        host: hostname(),
        // Bytes that a crash left behind the last whole line, and that were cut off.
        ...(tail && { torn_bytes: tail.torn, damaged_lines: tail.damagedLines }),
      };
    },
    onHead:
      signHead &&
      ((link, reason) => {
        const head = signHead({ chain, ...link, time: new Date().toISOString(), reason });
        options.sendHead(head);
        return head;
      }),
    onFailing: events.failing,
    onRecovered: events.recovered,
    onLost: events.lost,
    onNotRotated: events.notRotated,
    ...(options.delayMs !== undefined && { delayMs: options.delayMs }),
  });
  await ledger.started;

  const timers = [setInterval(() => ledger.look(), lookMs), setInterval(retain, retainMs)];
  if (config.heads !== undefined) timers.push(setInterval(() => ledger.vouch(), config.heads.every));
  for (const timer of timers) timer.unref();
  retain();

  function retain(): void {
    const outdated = listOutdated(listClosed(config.path), store.bytes(), config.keep, Date.now());
    const [oldest] = outdated;
    const youngest = outdated.at(-1);
    if (oldest === undefined || youngest === undefined) return;
    const names = outdated.map(({ path }) => basename(path));
    const kept = listClosed(config.path)[outdated.length]?.firstSeq ?? store.firstSeq();
    // The chain says what was taken away before it is.
    ledger
      .addAndWait('retention', JSON.stringify({ time: new Date().toISOString(), first_seq: kept, removed: names }))
      .then(() => Promise.all(outdated.map(({ path }) => rm(path, { force: true }))))
      .then(() => events.removed(names))
      .catch(events.notRotated);
  }

  function admit(decision: () => string): Promise<void> | undefined {
    const isFailing = ledger.failure() !== undefined;
    if (isFailing && config.onFailure === 'refuse') return Promise.reject(new RequestError('audit_unavailable'));
    if (!isStrict || isFailing) {
      if (isFailing) events.unrecorded();
      ledger.add('decision', decision);
      return undefined;
    }
    return ledger.addAndWait('decision', decision).catch(() => {
      if (config.onFailure === 'refuse') throw new RequestError('audit_unavailable');
      events.unrecorded();
    });
  }

  return {
    name: 'file',
    chain,
    admit,
    look: ledger.look,
    settle: ledger.settle,
    isFailing: () => ledger.failure() !== undefined,
    notReady: () =>
      config.onFailure === 'refuse' && ledger.failure() !== undefined ? 'the audit file can not be written' : undefined,
    write(recorded) {
      ledger.add(recorded.kind === 'audit' ? 'completion' : recorded.kind, recorded.json());
    },
    flushNow: ledger.flushNow,
    async close() {
      for (const timer of timers) clearInterval(timer);
      const late = new Promise<void>((resolve) => setTimeout(resolve, closeMs).unref());
      await Promise.race([ledger.close().catch(events.failing), late]);
      lock.release();
    },
  };
}

async function openLocked(
  { path }: AuditFileConfig,
  synced: boolean,
): Promise<readonly [store: Store, lock: FileLock]> {
  const refuse = (why: unknown): ConfigError =>
    new ConfigError([`audit.file: ${path}: ${why instanceof Error ? why.message : String(why)}`]);
  let lock: FileLock | undefined;
  try {
    lock = takeLock(path, lockWaitMs);
  } catch (error) {
    throw refuse(error);
  }
  if (lock === undefined) throw refuse('another process writes to it; give each sidecar a file of its own');
  try {
    return [await openStore(path, { synced }), lock];
  } catch (error) {
    lock.release();
    throw refuse(error);
  }
}
