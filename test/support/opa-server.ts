/** A real OPA server, of the version that `opa/go.mod` names, as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import type { OpaConfig } from '../../src/configured/policy.ts';
import { findFreePort } from './free-port.ts';
import { buildOpaCli } from './opa-cli.ts';

export interface OpaServerOptions {
  /** Directory or bundle. */
  readonly bundle?: string;
  readonly port?: number;
  readonly socket?: string;
  /** More arguments of `opa run`. */
  readonly args?: readonly string[];
}

export interface OpaServer {
  readonly process: ChildProcess;
  /** Undefined where it listens on a socket only. */
  readonly url: URL;
  /** Its log so far: decisions, where it is told to write them to the console. */
  log(): string;
  /** Ends it and waits until it has ended. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** @returns after it answers; the caller kills it */
export async function startOpaServer(options: OpaServerOptions): Promise<OpaServer> {
  const { bundle, socket, port = await findFreePort(), args = [] } = options;
  const command = await buildOpaCli();
  const child = spawn(
    command,
    [
      'run',
      '--server',
      '--addr',
      socket === undefined ? `127.0.0.1:${port}` : `unix://${socket}`,
      '--log-level',
      'error',
      '--skip-version-check',
      ...(bundle === undefined ? [] : ['--bundle', bundle]),
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
  }
  const exited = once(child, 'exit');
  const server: OpaServer = {
    process: child,
    url: new URL(`http://127.0.0.1:${port}`),
    log: () => log,
    async kill(signal = 'SIGKILL') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await exited;
    },
  };
  const place = socket === undefined ? { host: '127.0.0.1', port } : { socketPath: socket };
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(20)) {
    if (child.exitCode !== null) break;
    if (await isHealthy(place)) return server;
  }
  await server.kill();
  throw new Error(`OPA did not start: ${log}`);
}

/** The section `policy.opa` as the configuration gives it, for tests. */
export function opaConfig(over: Partial<OpaConfig> = {}): OpaConfig {
  return {
    url: new URL('http://localhost'),
    socket: undefined,
    token: undefined,
    tokenSource: undefined,
    tls: undefined,
    // Enough for a machine that does much else at the same time.
    timeout: 20_000,
    circuitBreaker: { failures: 5, reset: 200 },
    reads: undefined,
    ...over,
  };
}

function isHealthy(place: { readonly host: string; readonly port: number } | { readonly socketPath: string }) {
  return new Promise<boolean>((resolve) => {
    const sent = request({ ...place, path: '/health?bundles', agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    sent.on('error', () => resolve(false));
    sent.end();
  });
}
