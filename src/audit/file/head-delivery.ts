/**
 * Brings signed heads to where who can write the audit file can't: one after the other, tried again until they are taken.
 * Requests never wait for it.
 */
import { appendFile, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

import { postJson } from '../../post-json.ts';
import { readToken, type ServiceToken } from '../../service-credentials.ts';

export interface HeadDelivery {
  send(line: string): void;
  /** Waits until all are there, for a bounded time. */
  close(): Promise<void>;
}

/** A later head vouches for all lines that an earlier one does, so that the oldest may go. */
const mostWaiting = 1000;
const firstPauseMs = 1000;
const longestPauseMs = 60_000;
const closeMs = 2000;

/**
 * @param deliver rejects where a line was not taken
 * @param onFailure told when it begins to fail, and of each line that is given up
 */
export function createHeadDelivery(
  deliver: (line: string) => Promise<void>,
  onFailure: (error: unknown, lost: number) => void,
): HeadDelivery {
  const waiting: string[] = [];
  let running: Promise<void> | undefined;
  let pause: NodeJS.Timeout | undefined;
  let pauseMs = firstPauseMs;
  let isFailing = false;

  async function work(): Promise<void> {
    for (let [line] = waiting; line !== undefined; [line] = waiting) {
      try {
        await deliver(line);
      } catch (error) {
        if (!isFailing) onFailure(error, 0);
        isFailing = true;
        pause = setTimeout(start, pauseMs).unref();
        pauseMs = Math.min(pauseMs * 2, longestPauseMs);
        return;
      }
      if (waiting[0] === line) waiting.shift();
      [isFailing, pauseMs] = [false, firstPauseMs];
    }
  }

  function start(): void {
    clearTimeout(pause);
    pause = undefined;
    running ??= work().finally(() => {
      running = undefined;
      if (waiting.length > 0 && pause === undefined) start();
    });
  }

  return {
    send(line) {
      waiting.push(line);
      if (waiting.length > mostWaiting) {
        waiting.shift();
        onFailure(new Error('too many heads wait'), 1);
      }
      if (pause === undefined) start();
    },
    async close() {
      if (waiting.length === 0) return;
      start();
      const late = new Promise<void>((resolve) => setTimeout(resolve, closeMs).unref());
      await Promise.race([running, late]);
      clearTimeout(pause);
      if (waiting.length > 0) onFailure(new Error('the process ends'), waiting.length);
    },
  };
}

export function createFileDelivery(path: string): (line: string) => Promise<void> {
  return async (line) => {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await appendFile(path, `${line}\n`, { mode: 0o600, flush: true });
  };
}

const postTimeoutMs = 5000;

/** No redirect is followed: the token is for this address. */
export function createPostDelivery(url: URL, credentials: ServiceToken): (line: string) => Promise<void> {
  return async (line) => {
    const body = Buffer.from(`${line}\n`);
    // Without blanks behind it, as the configuration reads it.
    const token = (await readToken(credentials))?.trimEnd();
    const signal = AbortSignal.timeout(postTimeoutMs);
    await postJson(url, { body, gzipped: false, token, tls: undefined, signal }, async ({ statusCode: status = 0 }) => {
      if (status < 200 || status > 299) throw new Error(`${url.origin} answered ${status}`);
    });
  };
}
