/** The Python of the tests: the client libraries and what writes the models, at pinned versions. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { buildOnce, nameByContent, run } from './cache.ts';

const requirements = join(import.meta.dirname, 'requirements.txt');

/** @returns the path of the virtual environment's interpreter, which is made if it was not there. */
export async function buildPython(): Promise<string> {
  const name = await nameByContent('python', [requirements]);
  const dir = await buildOnce(name, 'the Python environment of the tests', async (venv) => {
    const probe = spawnSync('python3', ['-c', 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)'], {
      encoding: 'utf8',
    });
    if (probe.status !== 0) {
      throw new Error('To run the Python clients, install: Python 3.11 or newer with venv (Debian: python3-venv).');
    }
    await run('python3', ['-m', 'venv', venv]);
    // By the interpreter, never by the script `pip`: scripts name the directory before its rename.
    await run(join(venv, 'bin', 'python'), [
      '-m',
      'pip',
      'install',
      '-q',
      '--disable-pip-version-check',
      '-r',
      requirements,
    ]);
  });
  return join(dir, 'bin', 'python');
}
