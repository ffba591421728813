/** A bundle server's bundle as a file: asked for again and again, written whole, watched like any other file. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { z } from 'zod';

import type { BundleConfig, SignatureConfig } from '../configured/policy.ts';
import { type Combined, combineApart } from './combine-delta.ts';
import { type Downloaded, downloadBundle } from './download.ts';
import { writeWhole } from './kept.ts';

export interface MirrorOptions {
  readonly bundle: BundleConfig;
  /** Where the bundle is written, and beside it what it is. */
  readonly file: string;
  /** By whom the bundle must be signed, where it must. */
  readonly signature: SignatureConfig | undefined;
  /** Whether what evaluates it has data that deltas could change. */
  readonly takesDeltas: boolean;
  /** A new bundle was written. Must not reject. */
  readonly onWritten: () => Promise<void>;
  /** Told of the first failure in a row, and with undefined of the first success behind one. */
  readonly onFailure: (error: unknown) => void;
}

/** What became of the questions so far; Unix time, undefined for what never was. */
export interface MirrorFacts {
  readonly lastRequestMs: number | undefined;
  readonly lastSuccessfulRequestMs: number | undefined;
  readonly lastDownloadMs: number | undefined;
  /** Of the last download, bytes. */
  readonly size: number | undefined;
}

export interface Mirror {
  readonly facts: () => MirrorFacts;
  /** Asks once, before anything else. @returns why there is no answer, undefined where the file is what the server has */
  first(): Promise<unknown>;
  /** Goes on asking. */
  follow(): void;
  /** Asks now. Never rejects. */
  look(): Promise<void>;
  /** Asks elsewhere from now on. Never rejects. */
  retarget(bundle: BundleConfig): Promise<void>;
  close(): void;
}

/** What the file is: an etag counts only for the very bytes that came with it. */
const label = z.object({ url: z.string(), etag: z.string(), sha256: z.string(), deltas: z.boolean().optional() });

/** The first pause behind a failure, ms; each is twice the one before, up to the usual one. */
const firstPauseMs = 500;

export function createMirror(options: MirrorOptions): Mirror {
  const { file, signature, onWritten, onFailure } = options;
  // Nobody signs one, so that where signatures are asked for none counts, unless that is said to be wanted.
  const takesDeltas = options.takesDeltas && (signature === undefined || signature.allowUnsignedDeltas === true);
  let { bundle } = options;
  let facts: MirrorFacts = {
    lastRequestMs: undefined,
    lastSuccessfulRequestMs: undefined,
    lastDownloadMs: undefined,
    size: undefined,
  };
  let etag: string | undefined;
  /** Of the file. */
  let sha256: string | undefined;
  /** What came next to the file was a delta that could not be taken, so that a snapshot has to follow. */
  let needsSnapshot = false;
  let failures = 0;
  let longPolls = false;
  /** Nobody took up what lies there. */
  let isUnused = false;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let asking: Promise<void> | undefined;
  let controller = new AbortController();

  return {
    facts: () => facts,
    async first() {
      const found = await readLabel(bundle, file);
      // Deltas that were taken under other settings don't count under these.
      if (found !== undefined && (takesDeltas || found.deltas !== true)) ({ etag, sha256 } = found);
      try {
        await take(await download(0, controller.signal));
        return undefined;
      } catch (error) {
        failures = 1;
        // Something else may decide now: the next answer is to be a bundle, and a new one, the same one too.
        etag = undefined;
        isUnused = true;
        return error;
      }
    },
    follow: plan,
    async look() {
      // One that waits for news would not end.
      controller.abort();
      await asking;
      clearTimeout(timer);
      await askOnce(0);
    },
    async retarget(next) {
      controller.abort();
      await asking;
      clearTimeout(timer);
      bundle = next;
      // A tag is the other server's, and what is wrong there is to be told.
      etag = undefined;
      failures = 0;
      await askOnce(0);
    },
    close() {
      closed = true;
      clearTimeout(timer);
      controller.abort();
    },
  };

  function plan(): void {
    if (closed) return;
    clearTimeout(timer);
    timer = setTimeout(() => void askOnce(longPolls ? bundle.longPoll : 0), pause()).unref();
  }

  /** Between 0.8 and 1.2 times the usual, so that a fleet does not ask in step. */
  function pause(): number {
    if (failures === 0 && longPolls && bundle.longPoll > 0) return 0;
    const usual = failures === 0 ? bundle.poll : Math.min(bundle.poll, firstPauseMs * 2 ** Math.min(failures - 1, 16));
    return usual * (0.8 + 0.4 * Math.random());
  }

  function askOnce(waitMs: number): Promise<void> {
    asking ??= askAndTake(waitMs).finally(() => {
      asking = undefined;
      plan();
    });
    return asking;
  }

  async function askAndTake(waitMs: number): Promise<void> {
    if (closed) return;
    controller = new AbortController();
    const { signal } = controller;
    try {
      const isNew = await take(await download(waitMs, signal));
      if (failures > 0) onFailure(undefined);
      failures = 0;
      if (isNew && !closed) await onWritten();
    } catch (error) {
      if (needsSnapshot) etag = undefined;
      if (signal.aborted) return;
      failures += 1;
      if (failures === 1) onFailure(error);
    }
  }

  async function download(waitMs: number, signal: AbortSignal): Promise<Downloaded> {
    const lastRequestMs = Date.now();
    facts = { ...facts, lastRequestMs };
    const deltas = takesDeltas && etag !== undefined;
    const downloaded = await downloadBundle(bundle, { etag, deltas, waitMs, signal });
    facts = { ...facts, lastSuccessfulRequestMs: lastRequestMs };
    return downloaded;
  }

  /** @returns whether it is another one than before */
  async function take(downloaded: Downloaded): Promise<boolean> {
    // Asked for from the second time on: a server that does not know it says so by what it answers.
    longPolls = downloaded.longPolls && bundle.longPoll > 0;
    if (downloaded.bytes === undefined) return false;
    facts = { ...facts, lastDownloadMs: Date.now(), size: downloaded.bytes.length };
    const combined = await tryToCombine(downloaded.bytes);
    const bytes = combined?.bytes ?? downloaded.bytes;
    const next = hash(bytes);
    // A server without tags sends all of it each time: what was there already is nothing new to load.
    const isNew = isUnused || !(await isThere(next));
    if (isNew) await writeWhole(file, bytes);
    isUnused = false;
    const isKnown = !isNew && etag === downloaded.etag;
    [etag, sha256] = [downloaded.etag, next];
    if (isKnown) return false;
    const { href: url } = bundle.url;
    const text = JSON.stringify({ url, etag: etag ?? '', sha256, deltas: combined !== undefined });
    await writeWhole(`${file}.json`, Buffer.from(text));
    if (combined?.isLast === true) etag = undefined;
    return isNew;
  }

  /** @returns undefined where it is no delta, or none is expected: then it is not taken where it is read */
  async function tryToCombine(bytes: Uint8Array): Promise<Combined | undefined> {
    if (!takesDeltas || (etag === undefined && !needsSnapshot)) return undefined;
    const held = etag === undefined ? undefined : sha256;
    needsSnapshot = true;
    const combined = await combineApart({ bytes, file, sha256: held, signature });
    needsSnapshot = false;
    return combined;
  }

  async function isThere(sha256: string): Promise<boolean> {
    const present = await readFile(file).catch(() => undefined);
    return present !== undefined && hash(present) === sha256;
  }
}

async function readLabel(bundle: BundleConfig, file: string): Promise<z.infer<typeof label> | undefined> {
  try {
    const found = label.parse(JSON.parse(await readFile(`${file}.json`, 'utf8')));
    const isOurs = found.url === bundle.url.href && found.sha256 === hash(await readFile(file));
    return isOurs && found.etag !== '' ? found : undefined;
  } catch {
    return undefined;
  }
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
