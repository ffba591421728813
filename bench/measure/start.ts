/** A sidecar as users start it, with nothing of the bench in its process: when it is ready, and how much memory it takes. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

import { awaitReady, furnishSidecar } from '../peers/sidecar-home.ts';

export interface Start {
  /** From the start of the command to the first 200 of `/readyz`. */
  readonly seconds: number;
  readonly rssBytes: number;
  /** After `use`; undefined without one. */
  readonly usedRssBytes: number | undefined;
}

export interface StartOptions {
  readonly command: string;
  readonly directory: string;
  readonly policyPath: string;
  readonly upstreamPort: number;
  /** What is done with it once it is ready. */
  readonly use?: (dataPort: number) => Promise<unknown>;
}

export async function measureStart(options: StartOptions): Promise<Start> {
  const { command, directory, policyPath, upstreamPort, use } = options;
  const home = await furnishSidecar(directory, policyPath, upstreamPort);
  const startedMs = performance.now();
  const child = spawn(process.execPath, [command, ...home.args], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], ...home.env },
  });
  const exited = once(child, 'exit');
  try {
    const died = exited.then(() => {
      throw new Error(`The sidecar ended before it was ready. Try: node ${command} check --policy ${policyPath}`);
    });
    died.catch(() => undefined);
    await Promise.race([awaitReady(home.opsPort), died]);
    const seconds = (performance.now() - startedMs) / 1000;
    const rssBytes = await readRss(child.pid);
    await use?.(home.dataPort);
    return { seconds, rssBytes, usedRssBytes: use && (await readRss(child.pid)) };
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
}

/** @returns NaN where nobody tells */
async function readRss(pid: number | undefined): Promise<number> {
  if (pid === undefined) return Number.NaN;
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kib = /^VmRSS:\s*(\d+)/m.exec(status)?.[1] ?? (await askPs(pid));
  return Number(kib) * 1024;
}

async function askPs(pid: number): Promise<string> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)]).catch(() => ({
    stdout: 'NaN',
  }));
  return stdout.trim();
}
