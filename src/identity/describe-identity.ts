/** Where keys come from and whether they are those of now, in the spelling of the wire. */
import type { IssuerState } from './issuer-keys.ts';
import type { FileState } from './watched-file.ts';

export type IdentityDescription = ReturnType<typeof describeIdentity>;

export function describeIdentity(issuers: readonly IssuerState[], files: readonly FileState[]) {
  return {
    issuers: issuers.map(({ issuer, refreshedMs, error, keys, ignored }) => ({
      issuer,
      refreshed_at: refreshedMs === undefined ? undefined : describeTime(refreshedMs),
      error: error === undefined ? undefined : error instanceof Error ? error.message : String(error),
      keys: keys.map(({ kid, algorithms, published, usableUntilMs }) => ({
        kid,
        algorithms,
        published,
        usable_until: describeTime(usableUntilMs),
      })),
      ignored,
    })),
    files: files.map(({ source, path, loadedMs, refused }) => ({
      source,
      path,
      loaded_at: describeTime(loadedMs),
      refused: refused && { at: describeTime(refused.atMs), summary: refused.fault },
    })),
  };
}

function describeTime(ms: number): string {
  return new Date(ms).toISOString();
}
