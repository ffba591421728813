/** What a remote OPA is shown, read again while the sidecar runs: tokens and certificates of workloads live for hours. */
import { createSecureContext } from 'node:tls';

import type { OpaConfig } from '../../configured/policy.ts';
import type { TlsMaterial } from '../../configured/tls.ts';
import { readParts, readToken } from '../../service-credentials.ts';

export interface OpaCredentials {
  readonly token: string | undefined;
  readonly parts: TlsMaterial['parts'];
}

/**
 * Looks at the files every few seconds. What can't be read, or does not fit together, changes nothing: it may be half
 * written, and the server says so where it is not.
 *
 * @param onChange told of each state that can be used and differs from the one before
 * @returns ends it
 */
export function watchCredentials(
  { token, tokenSource, tls }: Pick<OpaConfig, 'token' | 'tokenSource' | 'tls'>,
  onChange: (credentials: OpaCredentials) => void,
  everyMs = 5000,
): () => void {
  const tokenFile = tokenSource?.member === 'token_file' ? tokenSource.value : undefined;
  const files = tls?.files;
  if (tokenFile === undefined && Object.values(files ?? {}).every((file) => file === undefined)) return () => {};
  const first = tls?.material.parts ?? {};
  let known = fingerprint({ token, parts: first });
  let looking = false;
  const timer = setInterval(() => void look(), everyMs).unref();
  return () => clearInterval(timer);

  async function look(): Promise<void> {
    if (looking) return;
    looking = true;
    try {
      const [current, parts] = await Promise.all([readToken({ token, tokenSource }), tls ? readParts(tls) : first]);
      const now: OpaCredentials = { token: current, parts };
      const state = fingerprint(now);
      // As a token of the configuration is checked; an empty one is one that is being written.
      if (state === known || (tokenFile !== undefined && !/^[A-Za-z0-9._~+/-]+=*$/.test(now.token ?? ''))) return;
      createSecureContext(parts);
      known = state;
      onChange(now);
    } catch {
      // The next look may find it whole.
    } finally {
      looking = false;
    }
  }
}

function fingerprint({ token, parts }: OpaCredentials): string {
  return JSON.stringify([token, ...['cert', 'key', 'ca'].map((part) => String(Reflect.get(parts, part)))]);
}
