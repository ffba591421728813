import { execFile, spawnSync } from 'node:child_process';
import { access, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** For `test(name, { skip })`. */
export const noGo =
  spawnSync('go', ['version']).error === undefined ? false : 'the opa command is built here, and Go is missing';

/** Enough for empty caches on a busy machine with two cores. */
export const buildLimitMs = 600_000;

/**
 * The real `opa` command, of the version that `opa/go.mod` names, built once into a cache outside the clone.
 *
 * @returns its path
 * @throws where Go is missing or cannot fetch the module
 */
export async function buildOpaCli(): Promise<string> {
  const version = /open-policy-agent\/opa (v\S+)/.exec(await readFile('opa/go.mod', 'utf8'))?.[1];
  if (version === undefined) throw new Error('opa/go.mod names no version of OPA');
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'opallama', `opa-${version}`);
  const command = join(cache, 'opa');
  if (await exists(command)) return command;
  await mkdir(cache, { recursive: true });
  // Built beside its place and moved there whole: test files run at the same time and may all want it.
  const workshop = await mkdtemp(join(cache, 'build-'));
  try {
    await run('go', ['install', '-trimpath', '-ldflags=-s -w', `github.com/open-policy-agent/opa@${version}`], {
      env: { ...process.env, GOBIN: workshop, GOFLAGS: '', CGO_ENABLED: '0', GOOS: '', GOARCH: '' },
      timeout: buildLimitMs,
    });
    await rename(join(workshop, 'opa'), command);
  } finally {
    await rm(workshop, { recursive: true, maxRetries: 10, force: true });
  }
  return command;
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
