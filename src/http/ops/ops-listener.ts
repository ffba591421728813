/** Health, readiness and metrics, behind a listener in a thread of its own. */
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, Worker } from 'node:worker_threads';

import type { Address } from '../../configured/config.ts';
import { answerOps, type OpsSources, plain } from './answer-ops.ts';
import { openChannel } from './channel.ts';
import { type FromThread, nowMs, type OpsThreadData, type ToThread } from './messages.ts';

export interface OpsListenerOptions extends OpsSources {
  readonly address: Address;
  /** Without a turn of the event loop for so long `/healthz` says no. */
  readonly stuckMs?: number;
  /** When the event loops of workers last turned, by `nowMs` of `messages.ts`, an element for each; none by default. */
  readonly workersTurned?: BigInt64Array | undefined;
  /** An answer could not be made, or the thread has ended without being told to: nobody sees the sidecar's health then. */
  readonly onError: (error: unknown) => void;
}

export interface OpsListener {
  /** What was bound, the port filled in. */
  readonly address: Address;
  /** Takes no more connections and waits for the answers that are due, at most so long. */
  close(graceMs: number): Promise<void>;
}

/** Longer than a loop under full load, or one that takes a policy up, is seen to stand. */
const usualStuckMs = 10_000;
const turnMs = 250;

// Run from the source by Node it is thread.ts, from the package thread.js.
const script = fileURLToPath(new URL(`./thread${extname(import.meta.url)}`, import.meta.url));

/** @throws the error of binding the socket */
export async function startOpsListener(options: OpsListenerOptions): Promise<OpsListener> {
  const turned = new BigInt64Array(new SharedArrayBuffer(8));
  const turn = (): void => void Atomics.store(turned, 0, nowMs());
  turn();
  const turning = setInterval(turn, turnMs).unref();
  const { address, stuckMs = usualStuckMs } = options;
  const bells = new Int32Array(new SharedArrayBuffer(8));
  const ports = new MessageChannel();
  const { workersTurned = new BigInt64Array() } = options;
  const channelEnd = { port: ports.port2, bells, own: 1 } as const;
  const workerData: OpsThreadData = { channel: channelEnd, address, turned, workersTurned, stuckMs };
  const thread = new Worker(script, {
    name: 'ops',
    workerData,
    transferList: [ports.port2],
    env: {},
    execArgv: ['--disable-warning=ExperimentalWarning'],
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 },
  });
  const bound = Promise.withResolvers<number>();
  let closing = false;
  const channel = openChannel<FromThread>({ port: ports.port1, bells, own: 0 }, (message) => {
    if (message.kind === 'listening') bound.resolve(message.port);
    else if (message.kind === 'failed')
      bound.reject(Object.assign(new Error(message.message), { code: message.code, port: address.port }));
    else void answer(message);
  });
  const send = (message: ToThread): void => channel.send(message);
  thread.on('error', lost);
  thread.on('exit', (code) => lost(new Error(`The ops thread ended with code ${code}.`)));

  try {
    return { address: { ...address, port: await bound.promise }, close };
  } catch (error) {
    closing = true;
    clearInterval(turning);
    channel.close();
    await thread.terminate();
    throw error;
  }

  async function answer({ id, question }: Extract<FromThread, { kind: 'question' }>): Promise<void> {
    try {
      send({ kind: 'answer', id, answer: await answerOps(question, options) });
    } catch (error) {
      options.onError(error);
      send({ kind: 'answer', id, answer: plain(500, 'The sidecar failed. See the log.') });
    }
  }

  function lost(error: unknown): void {
    if (closing) return;
    closing = true;
    bound.reject(error);
    options.onError(error);
  }

  async function close(graceMs: number): Promise<void> {
    const isLost = closing;
    closing = true;
    clearInterval(turning);
    if (isLost) return;
    const ended = once(thread, 'exit');
    send({ kind: 'close', graceMs });
    await ended;
    channel.close();
  }
}
