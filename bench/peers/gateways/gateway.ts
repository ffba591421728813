/** What the other gateways have in common: a program from a registry, started with a configuration, measured from outside. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { homedir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { createBuildCache } from '../../../test/support/build-cache.ts';
import type { Peer } from '../process.ts';

export interface Gateway {
  readonly name: string;
  /** What it does with each request here: the closest to the sidecar that it can be brought to by its own means. */
  readonly does: string;
  /** It parses answers and writes them anew. */
  readonly rewrites?: boolean;
  /** Why it is not asked for streams. */
  readonly noStreams?: string;
  /** Beside those that everybody is sent. */
  readonly headers?: (upstreamPort: number) => Readonly<Record<string, string>>;
  /** In place of the bench's own token. */
  readonly token?: string;
  /** Installs it where it is missing. @returns its exact version */
  prepare(): Promise<string>;
  /** @param port free, to listen on @param directory of its own, for its configuration */
  start(where: { readonly port: number; readonly upstreamPort: number; readonly directory: string }): Promise<Peer>;
}

export const exec = promisify(execFile);

const cache = createBuildCache('bench-peers', 'bench');

/** Outside the clone, so that it is there the next time. @param make fills the directory that it is given */
export function installOnce(name: string, make: (directory: string) => Promise<void>): Promise<string> {
  return cache.buildOnce(name, name, make);
}

/** From Debian's packages, without starting the service that comes with it. */
export async function installPackage(name: string, command: string): Promise<void> {
  if (await exec(command, ['-v']).then(Boolean, () => false)) return;
  process.stderr.write(`bench: installing ${name}\n`);
  const env = { ...process.env, RUNLEVEL: '1', DEBIAN_FRONTEND: 'noninteractive' };
  await exec('apt-get', ['update', '-qq'], { env });
  await exec('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], { env });
}

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly port: number;
}

const startMs = 60_000;
const stopMs = 5_000;
const keptErrors = 4000;
/** `man 5 proc`: times stand in ticks of the kernel's clock, which are hundredths of a second on Linux. */
const tickUs = 10_000;

/** @throws where one of them ends, or does not listen in time */
export async function startPrograms(...programs: readonly [Program, ...Program[]]): Promise<Peer> {
  const running: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(running.map(end));
  };
  try {
    for (const program of programs) {
      const child = spawn(program.command, [...program.args], {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { PATH: process.env['PATH'], HOME: homedir(), ...program.env },
      });
      running.push(child);
      await listens(child, program);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const pids = running.flatMap(({ pid }) => pid ?? []);
  return {
    port: programs[0].port,
    async usage() {
      const all = await Promise.all((await withDescendants(pids)).map(readUsage));
      const cpuUs = all.reduce((sum, one) => sum + one.cpuUs, 0);
      return { cpuUs, mainThreadUs: cpuUs, rssBytes: all.reduce((sum, one) => sum + one.rssBytes, 0) };
    },
    startProfile: () => Promise.reject(new Error('Only processes of Node are profiled here.')),
    stopProfile: () => Promise.reject(new Error('Only processes of Node are profiled here.')),
    stop,
  };
}

async function listens(child: ChildProcess, { command, port }: Program): Promise<void> {
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString('utf8')).slice(-keptErrors);
  });
  child.once('error', (error) => {
    errors += error.message;
  });
  for (const untilMs = performance.now() + startMs; performance.now() < untilMs; await sleep(50)) {
    if (child.exitCode !== null || child.pid === undefined) break;
    if (await accepts(port)) return;
  }
  throw new Error(`${command} does not listen on port ${port}:\n${errors}`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
  await exited;
  clearTimeout(timer);
}

async function withDescendants(roots: readonly number[]): Promise<readonly number[]> {
  const parents = new Map<number, number>();
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readStat(Number(entry));
    if (stat !== undefined) parents.set(Number(entry), Number(stat[1]));
  }
  const found = [...roots];
  for (let index = 0; index < found.length; index += 1) {
    for (const [pid, parent] of parents) if (parent === found[index] && !found.includes(pid)) found.push(pid);
  }
  return found;
}

async function readUsage(pid: number): Promise<{ readonly cpuUs: number; readonly rssBytes: number }> {
  const stat = await readStat(pid);
  const resident = /VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))?.[1];
  const ticks = Number(stat?.[11] ?? 0) + Number(stat?.[12] ?? 0);
  return { cpuUs: ticks * tickUs, rssBytes: Number(resident ?? 0) * 1024 };
}

/** @returns what stands behind the name, which may hold spaces; undefined where the process is gone */
async function readStat(pid: number): Promise<readonly string[] | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}
