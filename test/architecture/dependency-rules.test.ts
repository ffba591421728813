import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../../', import.meta.url));
const biome = join(root, 'node_modules/.bin/biome');

/** Lints one file as it would be linted in the project. */
async function lint(t: { after(done: () => Promise<void>): void }, path: string, text: string): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'opallama-lint-'));
  t.after(() => rm(copy, { recursive: true, maxRetries: 10 }));
  await cp(join(root, 'biome.json'), join(copy, 'biome.json'));
  await mkdir(join(copy, path, '..'), { recursive: true });
  await writeFile(join(copy, path), text);
  try {
    const { stdout } = await promisify(execFile)(biome, ['lint', '--colors=off', '--vcs-enabled=false', '.'], {
      cwd: copy,
    });
    return stdout;
  } catch (error) {
    return error instanceof Error && 'stdout' in error && 'stderr' in error
      ? `${error.stdout}${error.stderr}`
      : String(error);
  }
}

test('a stage that imports another one is refused, at any depth and also for a type', async (t) => {
  const report = await lint(
    t,
    'src/decision/engines/zz.ts',
    "import type { Route } from '../../input/routes.ts';\n\nexport type Y = Route;\n",
  );
  assert.match(report, /A stage never imports another one: src\/decision/);
});

test('a stage that imports src/tls is refused: it is handed what was checked', async (t) => {
  for (const stage of ['identity', 'upstream', 'telemetry']) {
    const report = await lint(
      t,
      `src/${stage}/zz.ts`,
      "import type { TlsFault } from '../tls/material.ts';\n\nexport type Y = TlsFault;\n",
    );
    assert.match(report, new RegExp(`A stage never imports another one: src/${stage}`));
  }
});

test('a stage that reads the environment is refused', async (t) => {
  const report = await lint(t, 'src/identity/zz.ts', 'export const home = process.env;\n');
  assert.match(report, /noProcessEnv/);
});

test('every folder of src is under a rule, so that a new stage does not go free', async () => {
  const { default: config } = await import(join(root, 'biome.json'), { with: { type: 'json' } });
  const ruled = new Set(config.overrides.flatMap((override: { includes: readonly string[] }) => override.includes));
  // The command line puts stages together as app.ts does.
  const free = new Set(['cli']);
  const folders = (await readdir(join(root, 'src'), { withFileTypes: true })).filter((entry) => entry.isDirectory());
  assert.ok(folders.length > 8);
  assert.deepEqual(
    folders.map(({ name }) => name).filter((name) => !free.has(name) && !ruled.has(`src/${name}/**`)),
    [],
  );
});
