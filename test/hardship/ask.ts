/** Requests and how long each takes: made here, or by a process of its own, which nothing else keeps busy. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import { constants, setPriority } from 'node:os';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { portOf } from '../support/port-of.ts';

export interface Call {
  readonly agent?: Agent;
  readonly model?: string;
  /** In place of a chat with the model. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Load {
  readonly port: number;
  /** A path to GET; else it is chats. */
  readonly get?: string;
  readonly model?: string;
  readonly body?: string;
  /** How many, or for how long, ms. */
  readonly count?: number;
  readonly ms?: number;
  readonly atOnce?: number;
  /** Of each between two of its requests. */
  readonly pauseMs?: number;
  /** Each on a connection of its own, as a kubelet asks. */
  readonly unkept?: boolean;
}

export interface Answers {
  /** ms, ascending. */
  readonly times: readonly number[];
  /** How often each came; `failed` where there was no answer. */
  readonly statuses: Readonly<Record<string, number>>;
}

export function chatOf(model: string, stream = false): string {
  return JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'hi' }] });
}

export function ask(port: number, call: Call = {}): Promise<number> {
  const { agent, model = 'tiny', body = chatOf(model), headers: more } = call;
  return new Promise((resolve, reject) => {
    const headers = { 'content-length': Buffer.byteLength(body), ...more };
    const outgoing = request({ host: '127.0.0.1', port, path: '/api/chat', method: 'POST', agent, headers });
    outgoing.once('error', reject).once('response', (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    });
    outgoing.end(body);
  });
}

function get(port: number, path: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, agent })
      .once('error', reject)
      .once('response', (response) => response.resume().once('end', () => resolve(response.statusCode ?? 0)))
      .end();
  });
}

/** @param next what is special about each chat */
export async function carryOut(load: Load, next: () => Call = () => ({})): Promise<Answers> {
  const { port, model, body, atOnce = 4, pauseMs = 0, count = Number.POSITIVE_INFINITY, ms = 60_000 } = load;
  const agent = new Agent({ keepAlive: load.unkept !== true, maxSockets: atOnce });
  const times: number[] = [];
  const statuses: Record<string, number> = {};
  const untilMs = performance.now() + ms;
  let begun = 0;
  const one = async (): Promise<void> => {
    for (; begun < count && performance.now() < untilMs; pauseMs > 0 && (await sleep(pauseMs))) {
      begun += 1;
      const began = performance.now();
      const chat: Call = { agent, ...(model !== undefined && { model }), ...(body !== undefined && { body }) };
      const asked = load.get === undefined ? ask(port, { ...chat, ...next() }) : get(port, load.get, agent);
      const status = await asked.catch(() => 'failed');
      times.push(performance.now() - began);
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  agent.destroy();
  return { times: times.toSorted((a, b) => a - b), statuses };
}

export interface Caller {
  carryOut(load: Load): Promise<Answers>;
}

/** A process of its own. One load at a time. */
export function startCaller(t: TestContext): Caller {
  const child = fork(fileURLToPath(import.meta.url), ['caller'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  t.after(() => child.kill());
  return {
    async carryOut(load) {
      child.send(load);
      const [answers] = (await once(child, 'message')) as [Answers];
      return answers;
    },
  };
}

/** Answers everything with 200, in a process of its own. @returns its port */
export async function startIdleServer(t: TestContext): Promise<number> {
  const child = fork(fileURLToPath(import.meta.url), ['idle'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  t.after(() => child.kill());
  const [port] = (await once(child, 'message')) as [number];
  return port;
}

if (process.argv[2] === 'idle') {
  const server = createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1', () => {
    process.send?.(portOf(server));
  });
  process.on('disconnect', () => process.exit(0));
}

if (process.argv[2] === 'caller') {
  try {
    // Who measures must not wait for its turn. Not everybody may.
    setPriority(constants.priority.PRIORITY_HIGHEST);
  } catch {}
  process.on('message', async (load: Load) => void process.send?.(await carryOut(load)));
  process.on('disconnect', () => process.exit(0));
}
