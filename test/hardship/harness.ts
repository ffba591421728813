/** A sidecar as a process of its own between a driver and a stand-in for Ollama, both here; and figures held to a limit. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { findFreePort } from '../support/free-port.ts';

const script = fileURLToPath(new URL('../../bin/opallama.js', import.meta.url));

/** Prints it, and fails where it is over its limit. */
export function figure(t: TestContext, what: string, value: number, limit: number, unit: string): void {
  const shown = Number.isInteger(value) ? String(value) : value.toFixed(1);
  const line = `${what}: ${shown} ${unit} (at most ${limit})`;
  t.diagnostic(line);
  assert.ok(value <= limit, line);
}

export interface HardSidecar {
  readonly port: number;
  readonly opsPort: number;
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Resident memory, MiB. */
  memory(): Promise<number>;
  descriptors(): Promise<number>;
  signal(name: NodeJS.Signals): void;
  /** Its exit code; waits for it. */
  ended(): Promise<number | null>;
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

export interface HardOptions {
  readonly upstream: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Runs before it in the same shell, such as `ulimit -n 200`. */
  readonly shell?: string;
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
  // The shell is replaced by Node, so that its pid is the sidecar's.
  const command = `${options.shell === undefined ? '' : `${options.shell} && `}exec "$0" "$@"`;
  const child = spawn('sh', ['-c', command, process.execPath, script, 'serve', '--config', 'opallama.yaml'], {
    cwd: directory,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], NO_COLOR: '1', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited;
    await rm(directory, { recursive: true, force: true });
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
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
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
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return `http://127.0.0.1:${address.port}`;
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

export function chatOf(model: string, stream = false): string {
  return JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'hi' }] });
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

/** Asks on as many kept connections at once until the time is over. @returns how long each took, ms, ascending */
export async function askFor(
  port: number,
  ms: number,
  atOnce = 4,
  pauseMs = 0,
  next: () => Call = () => ({}),
): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce });
  const times: number[] = [];
  const untilMs = performance.now() + ms;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (performance.now() < untilMs) {
        const began = performance.now();
        assert.equal(await ask(port, { agent, ...next() }), 200);
        times.push(performance.now() - began);
        if (pauseMs > 0) await sleep(pauseMs);
      }
    }),
  );
  agent.destroy();
  return times.toSorted((a, b) => a - b);
}

export interface Call {
  readonly agent?: Agent;
  readonly model?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export function ask(port: number, { agent, model = 'tiny', headers: more }: Call = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const body = chatOf(model);
    const headers = { 'content-length': Buffer.byteLength(body), ...more };
    const outgoing = request({ host: '127.0.0.1', port, path: '/api/chat', method: 'POST', agent, headers });
    outgoing.once('error', reject).once('response', (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    });
    outgoing.end(body);
  });
}

export function quantile(ascending: readonly number[], of: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(of * ascending.length))] ?? Number.NaN;
}

/** @throws where it does not come to hold in time */
export async function until(what: string, holds: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  for (const untilMs = performance.now() + ms; performance.now() < untilMs; await sleep(20)) if (await holds()) return;
  assert.fail(`not in ${ms} ms: ${what}`);
}
