/** One thread of a pool, seen from the sidecar's own: how it is started, what it says, how it ends. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { EvaluationError } from '../../errors.ts';
import type { EvaluateMessage, ThreadData, ThreadMessage } from './messages.ts';

export interface MemberEvents {
  onMessage(message: ThreadMessage): void;
  /** The thread has ended without being told to. Called once. */
  onDeath(cause: EvaluationError): void;
}

export interface Member {
  post(message: EvaluateMessage): void;
  /** Lets the process end although the thread lives. */
  unref(): void;
  /** Ends the thread whatever it does; nothing is told of it any more. */
  end(): Promise<void>;
}

// Run from the source by Node it is thread.ts, from the package thread.js.
const script = fileURLToPath(new URL(`./thread${extname(import.meta.url)}`, import.meta.url));

const mebibyte = 1024 * 1024;

export function startMember(data: ThreadData, events: MemberEvents): Member {
  const thread = new Worker(script, {
    name: `policy ${data.config.engine}`,
    workerData: data,
    // The sidecar's secrets may stand in its environment.
    env: {},
    execArgv: ['--disable-warning=ExperimentalWarning'],
    resourceLimits: { maxOldGenerationSizeMb: Math.ceil(data.config.memory / mebibyte) },
  });
  let ending = false;
  let cause: EvaluationError | undefined;
  thread.on('message', (message: ThreadMessage) => {
    if (!ending) events.onMessage(message);
  });
  thread.on('error', (error: unknown) => {
    cause = nameDeath(error, data.config.memory);
  });
  thread.on('exit', (code) => {
    if (ending) return;
    ending = true;
    events.onDeath(cause ?? new EvaluationError('policy_crashed', `The policy ended its thread with code ${code}.`));
  });
  return {
    post: (message) => thread.postMessage(message),
    unref: () => thread.unref(),
    async end() {
      ending = true;
      await thread.terminate();
    },
  };
}

function nameDeath(error: unknown, memory: number): EvaluationError {
  if (error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return new EvaluationError('policy_memory', `The policy used more than policy.memory, ${memory} bytes.`);
  }
  const message = error instanceof Error ? error.message : String(error);
  return new EvaluationError('policy_crashed', `The policy ended its thread: ${message}`, { cause: error });
}
