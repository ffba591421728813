/**
 * Real receivers: rsyslog of Debian's packages, and OpenTelemetry's collector, built from its Go modules into the cache of the
 * tests (minutes the first time). Ends with code 2 where they can't be had.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { fetchPackages, unpackedAt } from '../support/debian.ts';
import { nameByContent } from '../support/ollama/cache.ts';

const execute = promisify(execFile);
const source = fileURLToPath(new URL('collector/', import.meta.url));

/** The collector's program; it is there once this file was run. */
export async function collectorFile(): Promise<string> {
  const files = ['main.go', 'go.mod', 'go.sum'].map((name) => join(source, name));
  return join(unpackedAt(await nameByContent('otel-collector', files)), 'collector');
}

export function rsyslogRoot(): string {
  return unpackedAt('rsyslog');
}

async function buildCollector(): Promise<void> {
  const file = await collectorFile();
  if (existsSync(file)) return;
  await mkdir(join(file, '../..'), { recursive: true });
  const work = await mkdtemp(join(file, '../../otel-collector-unfinished-'));
  try {
    await cp(source, work, { recursive: true });
    await execute('nice', ['-n', '10', 'go', 'build', '-o', 'collector', '.'], { cwd: work, maxBuffer: 1 << 24 });
    await rename(work, join(file, '..'));
  } finally {
    await rm(work, { recursive: true, maxRetries: 10, force: true });
  }
}

if (import.meta.main) {
  try {
    await fetchPackages('rsyslog', ['rsyslog', 'rsyslog-openssl', 'libestr0', 'libfastjson4']);
    await buildCollector();
  } catch (error) {
    process.stderr.write(`shipping: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}
