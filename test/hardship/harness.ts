/** A sidecar as a process of its own between a driver and a stand-in for Ollama, both here. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { findFreePort } from '../support/free-port.ts';
import { portOf } from '../support/port-of.ts';
import { chatOf } from './ask.ts';

const inside = new URL('inside.ts', import.meta.url).href;
const script = fileURLToPath(new URL('../../bin/opallama.js', import.meta.url));

export interface HardSidecar {
  readonly port: number;
  readonly opsPort: number;
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Resident memory, MB. */
  memory(): Promise<number>;
  /** What it tells of itself, its garbage collected: only with `tells`. */
  inside(): Promise<Inside>;
  descriptors(): Promise<number>;
  signal(name: NodeJS.Signals): void;
  /** Its exit code; waits for it. */
  ended(): Promise<number | null>;
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

export interface Inside {
  /** What its objects and buffers take, MB. */
  readonly heap: number;
  readonly timers: number;
}

/**
 * V8 sizes its heap by the memory that the machine or the container has: these are what it takes under the 512 MiB of the
 * manifests (k8s/). On a large machine its young generation alone may grow to 64 MB.
 */
const heapOfThePod = '--max-old-space-size=256 --max-semi-space-size=4';

export interface HardOptions {
  readonly upstream: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Runs before it in the same shell, such as `ulimit -n 200`. */
  readonly shell?: string;
  /** It can be asked what is `inside`, which makes timers a little dearer. */
  readonly tells?: boolean;
  readonly prepare?: (directory: string) => Promise<void>;
}

const startMs = 60_000;

/** A small policy of its own, anonymous callers, ports of its own; ended with the test. */
export async function startHard(t: TestContext, options: HardOptions): Promise<HardSidecar> {
  const directory = await mkdtemp(join(tmpdir(), 'opallama-hard-'));
  const [port, opsPort] = [await findFreePort(), await findFreePort()];
  const rego = 'package ollama.authz\n\ndefault allow := false\n\nallow if input.model != "forbidden"\n';
  await mkdir(join(directory, 'policy'));
  await writeFile(join(directory, 'policy/authz.rego'), rego);
  const config = {
    listen: { data: `127.0.0.1:${port}`, ops: `127.0.0.1:${opsPort}` },
    upstream: { base_url: options.upstream },
    policy: { path: 'policy' },
    identity: { anonymous: { roles: ['guest'] } },
    shutdown: { delay: '0s' },
    ...options.config,
  };
  // JSON is YAML.
  await writeFile(join(directory, 'opallama.yaml'), JSON.stringify(config));
  await options.prepare?.(directory);
  const nodeOptions = `${heapOfThePod}${options.tells === true ? ` --import ${inside}` : ''}`;
  // The shell is replaced by Node, so that its pid is the sidecar's.
  const command = `${options.shell === undefined ? '' : `${options.shell} && `}exec "$0" "$@"`;
  const child = spawn('sh', ['-c', command, process.execPath, script, 'serve', '--config', 'opallama.yaml'], {
    cwd: directory,
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      NO_COLOR: '1',
      NODE_OPTIONS: nodeOptions,
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited;
    await rm(directory, { recursive: true, maxRetries: 10, force: true });
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const { pid } = child;
  assert.ok(pid !== undefined);
  for (const untilMs = performance.now() + startMs; ; await sleep(50)) {
    const ready = await fetch(`http://127.0.0.1:${opsPort}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) break;
    assert.ok(child.exitCode === null && performance.now() < untilMs, stderr);
  }
  return {
    port,
    opsPort,
    pid,
    stdout: () => stdout,
    stderr: () => stderr,
    async memory() {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      return (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / 1e6;
    },
    async inside() {
      const lines = (): string[] => stderr.match(/^inside .*$/gm) ?? [];
      const known = lines().length;
      child.kill('SIGUSR2');
      await until('it tells of itself', () => lines().length > known);
      return JSON.parse((lines().at(-1) ?? '').slice('inside '.length));
    },
    descriptors: async () => (await readdir(`/proc/${pid}/fd`)).length,
    signal: (name) => void child.kill(name),
    async ended() {
      await exited;
      return child.exitCode;
    },
    fetch: (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init),
  };
}

/** What the stand-in does with a chat is up to the test. @returns its URL */
export async function startScripted(
  t: TestContext,
  answer: (response: ServerResponse, body: Readonly<Record<string, unknown>>, request: IncomingMessage) => void,
): Promise<string> {
  const server = createServer({ noDelay: true }, (incoming, response) => {
    let body = '';
    incoming.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    incoming.once('end', () => answer(response, body === '' ? {} : JSON.parse(body), incoming));
    response.on('error', () => undefined);
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const port = portOf(server);
  return `http://127.0.0.1:${port}`;
}

export const wholeAnswer = '{"message":{"content":"hi"},"done":true,"prompt_eval_count":3,"eval_count":1}\n';
export const frame = '{"message":{"content":"hi"},"done":false}\n';

export function answerWhole(response: ServerResponse): void {
  response
    .writeHead(200, { 'content-type': 'application/json', 'content-length': wholeAnswer.length })
    .end(wholeAnswer);
}

export function beginStream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.write(frame);
}

/** The bytes of a chat for a plain socket. */
export function rawChat(model: string, stream = false): string {
  const body = chatOf(model, stream);
  return `POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** A plain connection whose failures are nobody's business. */
export async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => undefined);
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
  return socket;
}

/** @throws where it does not come to hold in time */
export async function until(what: string, holds: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  for (const untilMs = performance.now() + ms; performance.now() < untilMs; await sleep(20)) if (await holds()) return;
  assert.fail(`not in ${ms} ms: ${what}`);
}
