/** What a sidecar needs around it: a configuration as an operator would write it, ports, a token. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import jwt from 'jsonwebtoken';
import { findFreePort } from '../../test/support/free-port.ts';

export const issuer = 'https://id.example';
export const audience = 'opallama';
export const benchSecret = 'a-secret-of-the-bench-longer-than-32-bytes';
export const defaultPolicy = fileURLToPath(new URL('../../policies/', import.meta.url));

export interface SidecarHome {
  readonly directory: string;
  /** Arguments of the command line. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly dataPort: number;
  readonly opsPort: number;
}

/**
 * @param policyPath a directory of Rego, or a bundle
 * @param directory of the bench's own; the configuration is written there
 * @param more sections of the configuration; paths in them are relative to the directory
 */
export async function furnishSidecar(
  directory: string,
  policyPath: string,
  upstreamPort: number,
  more: Readonly<Record<string, unknown>> = {},
): Promise<SidecarHome> {
  const home = await mkdtemp(join(directory, 'sidecar-'));
  const [dataPort, opsPort] = [await findFreePort(), await findFreePort()];
  const config = {
    listen: { data: `127.0.0.1:${dataPort}`, ops: `127.0.0.1:${opsPort}` },
    upstream: { base_url: `http://127.0.0.1:${upstreamPort}` },
    policy: { path: policyPath },
    identity: { jwt: [{ algorithm: 'HS256', secret_env: 'BENCH_SECRET', issuer, audience }] },
    ...more,
  };
  const file = join(home, 'opallama.yaml');
  // JSON is YAML.
  await writeFile(file, JSON.stringify(config, undefined, 2));
  return { directory: home, args: ['serve', '--config', file], env: { BENCH_SECRET: benchSecret }, dataPort, opsPort };
}

export function signToken(): string {
  const claims = { sub: 'alice', roles: ['developer'], tenant: 'acme', scope: 'chat models' };
  return jwt.sign(claims, benchSecret, { algorithm: 'HS256', issuer, audience, expiresIn: '1h' });
}

/** Asks until the sidecar is ready. @throws where it isn't in time */
export async function awaitReady(opsPort: number, timeoutMs = 20_000): Promise<void> {
  const untilMs = performance.now() + timeoutMs;
  while (performance.now() < untilMs) {
    const ready = await fetch(`http://127.0.0.1:${opsPort}/readyz`).then(
      async (response) => {
        await response.body?.cancel();
        return response.ok;
      },
      () => false,
    );
    if (ready) return;
    await sleep(5);
  }
  throw new Error(`The sidecar was not ready within ${timeoutMs} ms.`);
}

/** A directory that is gone when the work is done, however it ends. */
export async function withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'opallama-bench-'));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
