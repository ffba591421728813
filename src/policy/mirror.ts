/** A bundle server's bundle as a file: asked for again and again, written whole, watched like any other file. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { z } from 'zod';

import type { BundleConfig } from '../types.ts';
import { type Downloaded, downloadBundle } from './download.ts';
import { writeWhole } from './kept.ts';

export interface MirrorOptions {
  readonly bundle: BundleConfig;
  /** Where the bundle is written, and beside it what it is. */
  readonly file: string;
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
const label = z.object({ url: z.string(), etag: z.string(), sha256: z.string() });

/** The first pause behind a failure, ms; each is twice the one before, up to the usual one. */
const firstPauseMs = 500;

export function createMirror({ bundle: configured, file, onWritten, onFailure }: MirrorOptions): Mirror {
  let bundle = configured;
  let facts: MirrorFacts = {
    lastRequestMs: undefined,
    lastSuccessfulRequestMs: undefined,
    lastDownloadMs: undefined,
    size: undefined,
  };
  let etag: string | undefined;
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
      etag = await readLabel(bundle, file);
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
      if (signal.aborted) return;
      failures += 1;
      if (failures === 1) onFailure(error);
    }
  }

  async function download(waitMs: number, signal: AbortSignal): Promise<Downloaded> {
    const lastRequestMs = Date.now();
    facts = { ...facts, lastRequestMs };
    const downloaded = await downloadBundle(bundle, { etag, waitMs, signal });
    facts = { ...facts, lastSuccessfulRequestMs: lastRequestMs };
    return downloaded;
  }

  /** @returns whether it is another one than before */
  async function take(downloaded: Downloaded): Promise<boolean> {
    // Asked for from the second time on: a server that does not know it says so by what it answers.
    longPolls = downloaded.longPolls && bundle.longPoll > 0;
    if (downloaded.bytes === undefined) return false;
    facts = { ...facts, lastDownloadMs: Date.now(), size: downloaded.bytes.length };
    const sha256 = hash(downloaded.bytes);
    // A server without tags sends all of it each time: what was there already is nothing new to load.
    const isNew = isUnused || !(await isThere(sha256));
    if (isNew) await writeWhole(file, downloaded.bytes);
    isUnused = false;
    if (!isNew && etag === downloaded.etag) return false;
    etag = downloaded.etag;
    const { href: url } = bundle.url;
    await writeWhole(`${file}.json`, Buffer.from(JSON.stringify({ url, etag: etag ?? '', sha256 })));
    return isNew;
  }

  async function isThere(sha256: string): Promise<boolean> {
    const present = await readFile(file).catch(() => undefined);
    return present !== undefined && hash(present) === sha256;
  }
}

async function readLabel(bundle: BundleConfig, file: string): Promise<string | undefined> {
  try {
    const found = label.parse(JSON.parse(await readFile(`${file}.json`, 'utf8')));
    const isOurs = found.url === bundle.url.href && found.sha256 === hash(await readFile(file));
    return isOurs && found.etag !== '' ? found.etag : undefined;
  } catch {
    return undefined;
  }
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
