/** Starts a real Ollama on a free loopback port and stops it by pid. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { constants, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface OllamaServer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly pid: number;
  /** Everything that the server has logged so far. */
  log(): string;
  /** The processes that run a model, children of the server; for a moment after its start also one that looks for devices. */
  runners(): Promise<readonly number[]>;
  /** Ends the server at once, as a crash would; its runners stay until `stop`. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * The environment of a server and of the command line: nothing of the caller's own Ollama, nothing that leaves the machine.
 * @param home holds the key pair that Ollama makes for itself
 */
export function ollamaEnvironment(home: string): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '', HOME: home, OLLAMA_NO_CLOUD: '1', OLLAMA_REMOTES: '127.0.0.1' };
}

/**
 * @param options.models the directory of models; several servers may share one
 * @returns once the server accepts connections
 */
export async function startOllama(options: {
  readonly binary: string;
  readonly models: string;
}): Promise<OllamaServer> {
  const home = await mkdtemp(join(tmpdir(), 'opallama-ollama-'));
  const logPath = join(home, 'server.log');
  const logFile = openSync(logPath, 'w');
  const child = spawn(options.binary, ['serve'], {
    env: {
      ...ollamaEnvironment(home),
      OLLAMA_HOST: '127.0.0.1:0',
      OLLAMA_MODELS: options.models,
      OLLAMA_NOPRUNE: '1',
      OLLAMA_KEEP_ALIVE: '10m',
      OLLAMA_MAX_LOADED_MODELS: '3',
      OLLAMA_NUM_PARALLEL: '1',
      OLLAMA_DEBUG: '1',
    },
    // A file, because a pipe that a busy test does not read would hold the server up.
    stdio: ['ignore', logFile, logFile],
  });
  closeSync(logFile);
  const pid = child.pid;
  if (pid === undefined) throw new Error(`Cannot start ${options.binary}.`);
  setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  const log = () => (existsSync(logPath) ? readFileSync(logPath, 'utf8') : '');
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const known = new Set<number>();
  const runners = async () => {
    const alive = await childrenOf(pid);
    for (const runner of alive) known.add(runner);
    return alive;
  };
  const stop = async () => {
    await runners();
    child.kill('SIGTERM');
    await Promise.race([gone, sleep(5000, undefined, { ref: false })]);
    endAll(child, known);
    await gone;
    await rm(home, { recursive: true, maxRetries: 10, force: true });
  };
  try {
    const url = `http://127.0.0.1:${await listeningPort(child, log)}`;
    const kill = async () => {
      await runners();
      child.kill('SIGKILL');
      await new Promise<void>((resolve) =>
        (child.exitCode ?? child.signalCode) === null ? child.once('exit', () => resolve()) : resolve(),
      );
    };
    return { url, pid, log, runners, kill, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The server itself says which port the kernel gave it. */
async function listeningPort(child: ChildProcess, log: () => string): Promise<number> {
  for (let attempt = 0; attempt < 600; attempt++) {
    const port = /Listening on 127\.0\.0\.1:(\d+)/.exec(log())?.[1];
    if (port !== undefined) return Number(port);
    if (child.exitCode !== null) break;
    await sleep(100);
  }
  throw new Error(`Ollama did not come up:\n${log().split('\n').slice(-20).join('\n')}`);
}

function endAll(server: ChildProcess, runners: ReadonlySet<number>): void {
  server.kill('SIGKILL');
  for (const runner of runners) {
    // The pid may be a stranger's by now.
    if (readProcess(runner, 'cmdline').split('\0')[1] === 'runner') process.kill(runner, 'SIGKILL');
  }
}

async function childrenOf(parent: number): Promise<readonly number[]> {
  const entries = await readdir('/proc');
  const pids = entries.filter((entry) => /^\d+$/.test(entry)).map(Number);
  return pids.filter((pid) => statOf(pid)?.parent === parent);
}

/** Processor time that a process has used since it began, in ms; undefined if it is gone. */
export function cpuTime(pid: number): number | undefined {
  return statOf(pid)?.cpuMs;
}

function statOf(pid: number): { readonly parent: number; readonly cpuMs: number } | undefined {
  // The command's name, in parentheses, may hold spaces: fields are counted behind it (proc_pid_stat(5)).
  const fields = readProcess(pid, 'stat').split(') ').at(-1)?.split(' ') ?? [];
  if (fields.length < 14 || fields[0] === 'Z') return undefined;
  return { parent: Number(fields[1]), cpuMs: (Number(fields[11]) + Number(fields[12])) * 10 };
}

function readProcess(pid: number, file: 'stat' | 'cmdline'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
