/** Starts the processes that are measured and talks with their meters. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Profiler } from 'node:inspector';
import { fileURLToPath } from 'node:url';

import type { Question, Report, Usage } from './meter.ts';

export interface Peer {
  readonly port: number;
  usage(): Promise<Usage>;
  startProfile(): Promise<void>;
  stopProfile(): Promise<Profiler.Profile>;
  stop(): Promise<void>;
}

export interface PeerOptions {
  readonly script: 'upstream.ts' | 'bare.ts' | 'sidecar.ts';
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A file descriptor. Undefined: thrown away. */
  readonly stdout?: number;
  /** Where it listens, if it is not the meter that tells. Rejects where it never does. */
  readonly listening?: () => Promise<number>;
}

/** Much of what a process says before it ends too early. */
const keptErrors = 4000;
const answerMs = 10_000;
const stopMs = 5_000;

/** @throws where the process ends, or stays silent, before it listens */
export async function startPeer(options: PeerOptions): Promise<Peer> {
  const script = fileURLToPath(new URL(options.script, import.meta.url));
  const child = fork(script, [...(options.args ?? [])], {
    stdio: ['ignore', options.stdout ?? 'ignore', 'pipe', 'ipc'],
    env: { PATH: process.env['PATH'], ...options.env },
  });
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString('utf8')).slice(-keptErrors);
  });
  const gone = once(child, 'exit').then(() => {
    throw new Error(`${options.script} ended:\n${errors}`);
  });
  // Waited for only while something is asked of it.
  gone.catch(() => undefined);

  const ask = async <Name extends Report['report']>(question: Question, name: Name): Promise<ReportOf<Name>> => {
    child.send(question);
    return await Promise.race([awaitReport(child, name), gone]);
  };
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
    await exited;
    clearTimeout(timer);
  };
  try {
    const port =
      options.listening === undefined
        ? (await Promise.race([awaitReport(child, 'listening'), gone])).port
        : await Promise.race([options.listening(), gone]);
    return {
      port,
      usage: async () => (await ask('usage', 'usage')).usage,
      startProfile: async () => void (await ask('profile', 'profiling')),
      stopProfile: async () => (await ask('stop profile', 'profile')).profile,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

type ReportOf<Name extends Report['report']> = Extract<Report, { readonly report: Name }>;

function awaitReport<Name extends Report['report']>(child: ChildProcess, name: Name): Promise<ReportOf<Name>> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      child.off('message', onMessage);
    };
    // Both ends are of one version, so a message is what its name says.
    const onMessage = (message: Report): void => {
      if (!isReport(message, name)) return;
      end();
      resolve(message);
    };
    const timer = setTimeout(() => {
      end();
      reject(new Error(`No "${name}" for ${answerMs} ms.`));
    }, answerMs);
    child.on('message', onMessage);
  });
}

function isReport<Name extends Report['report']>(report: Report, name: Name): report is ReportOf<Name> {
  return report.report === name;
}

/** @returns what hands a process on once it is there, and ends it with the stack */
export function keepOn(stack: AsyncDisposableStack): (starting: Promise<Peer>) => Promise<Peer> {
  return async (starting) => {
    const peer = await starting;
    stack.defer(() => peer.stop());
    return peer;
  };
}
