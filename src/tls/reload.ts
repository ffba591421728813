/**
 * Reads the files of certificates, keys and authorities again while the sidecar runs. They are polled and compared by
 * content: Kubernetes exchanges a directory behind a symbolic link, which watches of files do not see on every file system.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TlsFiles, TlsMaterial, TlsPart } from '../configured/tls.ts';
import { createLook } from '../look.ts';
import { checkMaterial, type TlsBytes, tlsParts } from './material.ts';

export interface TlsReloadOptions {
  readonly files: TlsFiles;
  /** What connections are made with now. */
  readonly material: TlsMaterial;
  /** Called with what was checked; connections that are there keep what they have. */
  readonly apply: (material: TlsMaterial) => void;
  /** Called once for each change: without faults where it was applied, else the former material stays. */
  readonly onResult: (faults: readonly string[]) => void;
  /** ms between two looks; 5 s by default. */
  readonly everyMs?: number;
}

export interface TlsReload {
  /** Looks now. Never rejects. */
  look(): Promise<void>;
  close(): void;
}

/** A certificate and its key are written one after the other: they count once they have stayed the same for so long. */
const settleMs = 100;

export function createTlsReload(options: TlsReloadOptions): TlsReload {
  let applied = fingerprint(options.material.parts);
  let told: string | undefined;
  // Who asks wants what was written before that to be seen, also where the timer's look has begun already.
  const look = createLook(() => lookOnce().catch((error: unknown) => tell(String(error), [String(error)])));
  const timer = setInterval(() => void look(), options.everyMs ?? 5000).unref();

  return { look, close: () => clearInterval(timer) };

  async function lookOnce(): Promise<void> {
    const first = fingerprint(await read());
    if (first === applied) {
      told = undefined;
      return;
    }
    await sleep(settleMs);
    const bytes = await read();
    // Still being written; the next look sees it.
    if (fingerprint(bytes) !== first) return;
    const checked = checkMaterial(bytes, Date.now());
    if ('faults' in checked) {
      tell(
        first,
        checked.faults.map(({ part, text }) => `${options.files[part]}: ${text}`),
      );
      return;
    }
    options.apply(checked.material);
    applied = first;
    told = undefined;
    options.onResult([]);
  }

  /** Each broken state once, however often it is seen. */
  function tell(state: string, faults: readonly string[]): void {
    if (told === state) return;
    told = state;
    options.onResult(faults);
  }

  async function read(): Promise<Record<TlsPart, Buffer | undefined>> {
    const [cert, key, ca] = await Promise.all(
      tlsParts.map((part) => {
        const path = options.files[part];
        return path === undefined ? undefined : readFile(path);
      }),
    );
    return { cert, key, ca };
  }
}

function fingerprint(bytes: TlsBytes): string {
  const hash = createHash('sha256');
  for (const part of tlsParts) hash.update(`${part} ${bytes[part]?.length ?? '-'}\n`).update(bytes[part] ?? '');
  return hash.digest('base64');
}
