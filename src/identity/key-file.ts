/** A key set in a file, read again when it changes. */
import type { IssuerKeys } from './issuer-keys.ts';
import type { KeySet } from './jwks.ts';
import type { TrustedKey } from './verifier.ts';
import { type WatchedFileOptions, watchFile } from './watched-file.ts';

export interface FileKeysOptions {
  readonly issuer: string;
  readonly path: string;
  /** How long tokens of a key count that was taken out, ms. */
  readonly graceMs: number;
  readonly watching: Pick<WatchedFileOptions<KeySet>, 'onReload' | 'everyMs'>;
  /** @returns a text where the document is no key set */
  readonly read: (document: unknown) => KeySet | string;
  /** The clock, ms. */
  readonly now?: () => number;
}

/** @throws ConfigError where it can't be read at first */
export function createFileKeys(options: FileKeysOptions): IssuerKeys {
  const { issuer, path, graceMs, now = Date.now } = options;
  let keys = new Map<string, TrustedKey>();
  let published: KeySet = { keys: [], ignored: [] };
  let refreshedMs: number | undefined;
  const file = watchFile<KeySet>({ ...options.watching, source: 'kubernetes_keys', path, parse, apply });
  apply(file.value);

  return {
    find(algorithm, kid) {
      const time = now();
      return [...keys.values()].filter(
        (key) =>
          (kid === undefined || key.kid === kid) &&
          time < key.usableUntilMs &&
          key.algorithms.some((name) => name === algorithm),
      );
    },
    look: () => undefined,
    refresh: file.look,
    state: () => ({
      issuer,
      keys: [...keys.values()].map(({ kid, algorithms, usableUntilMs }) => ({
        kid,
        algorithms,
        usableUntilMs,
        published: usableUntilMs === Number.POSITIVE_INFINITY,
      })),
      refreshedMs,
      error: file.state().refused?.fault,
      ignored: published.ignored,
    }),
    close: file.close,
  };

  function parse(bytes: Buffer): { readonly value: KeySet } | string {
    let document: unknown;
    try {
      document = JSON.parse(bytes.toString('utf8'));
    } catch {
      return 'is no JSON';
    }
    const set = options.read(document);
    if (typeof set === 'string') return `can not be used: ${set}`;
    // A file that was emptied by mistake must not lock everybody out.
    return set.keys.length === 0 ? ['holds no key that can be used', ...set.ignored].join('; ') : { value: set };
  }

  function apply(set: KeySet): void {
    const time = now();
    const next = new Map<string, TrustedKey>();
    for (const { fingerprint, key, kid, algorithms } of set.keys) {
      const known = keys.get(fingerprint);
      const trusted = known ?? { key, kid, algorithms, usableUntilMs: 0 };
      trusted.usableUntilMs = Number.POSITIVE_INFINITY;
      next.set(fingerprint, trusted);
    }
    for (const [fingerprint, key] of keys) {
      if (next.has(fingerprint)) continue;
      // Tokens that are remembered end with it: they hold this very object.
      if (key.usableUntilMs === Number.POSITIVE_INFINITY) key.usableUntilMs = time + graceMs;
      if (time < key.usableUntilMs) next.set(fingerprint, key);
    }
    keys = next;
    published = set;
    refreshedMs = time;
  }
}
