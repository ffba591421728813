/** What is published: packed, installed elsewhere, run from emitted JavaScript with its workers and data files. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { run } from '../support/running.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const limits = { timeout: 240_000, maxBuffer: 1 << 26 };

async function install(t: TestContext): Promise<string> {
  const elsewhere = await mkdtemp(join(tmpdir(), 'opallama-packed-'));
  t.after(() => rm(elsewhere, { recursive: true }));
  await promisify(execFile)('npm', ['pack', '--pack-destination', elsewhere], { ...limits, cwd: root });
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  await writeFile(join(elsewhere, 'package.json'), '{"private":true}');
  await promisify(execFile)(
    'npm',
    ['install', '--prefer-offline', '--no-audit', '--no-fund', `./opallama-${version}.tgz`],
    {
      ...limits,
      cwd: elsewhere,
    },
  );
  return elsewhere;
}

test('the packed package runs where it is installed', { timeout: 300_000 }, async (t) => {
  const elsewhere = await install(t);
  const command = join(elsewhere, 'node_modules/opallama/bin/opallama.js');
  const opallama = (...args: readonly string[]) =>
    promisify(execFile)(process.execPath, [command, ...args], { ...limits, cwd: elsewhere });

  const { stdout: version } = await opallama('--version');
  assert.match(version, /^\d+\.\d+\.\d+\n$/);

  // The compiler's child process and the module behind it.
  await cp(join(root, 'policies'), join(elsewhere, 'policies'), { recursive: true });
  await writeFile(join(elsewhere, 'opallama.yaml'), 'identity:\n  anonymous: { roles: [guest] }\n');
  const { stdout: checked } = await opallama('check');
  assert.match(checked, /\d+ tests passed/);

  // What commands read beside the code: templates, the library, inputs, schemas.
  await opallama('init', 'own', '--template', 'hours');
  const { stdout: compared } = await opallama('diff', 'own', 'own');
  assert.match(compared, /72 alike, 0 differ/);
  const { stdout: evaluated } = await opallama(
    'eval',
    '--policy',
    'own',
    '--as',
    'x',
    '/api/tags',
    '--expect',
    'allow',
  );
  assert.match(evaluated, /^allow\n/);
  for (const name of ['input', 'decision', 'config']) {
    const { stdout: schema } = await opallama('schema', name);
    assert.equal(typeof JSON.parse(schema), 'object');
  }

  // The threads of a policy, and what the operator writes.
  await writeFile(
    join(elsewhere, 'authz.ts'),
    'export const evaluate = (input: { model?: string }): boolean => true;\n',
  );
  const { stdout: ofModule } = await promisify(execFile)(process.execPath, [command, 'check'], {
    ...limits,
    cwd: elsewhere,
    env: { ...process.env, OPALLAMA_POLICY__ENGINE: 'module', OPALLAMA_POLICY__PATH: 'authz.ts' },
  });
  assert.match(ofModule, /authz\.ts: revision [0-9a-f]{12}/);

  // The shipped policy, the practice upstream, the listeners.
  // As a person would start them, on a machine that has neither Go nor an opa.
  const withoutGo = (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((each) => !['go', 'opa'].some((name) => existsSync(join(each, name))));
  const running = run('npx', ['opallama', 'quickstart'], {
    cwd: elsewhere,
    env: {
      OLLAMA_HOST: '127.0.0.1:9',
      OLLAMA_BASE_URL: undefined,
      OPALLAMA_POLICY__PATH: undefined,
      PATH: [dirname(process.execPath), ...withoutGo].join(delimiter),
    },
  });
  t.after(() => running.stop());
  await running.waitFor(/Ctrl\+C stops it/);
  const data = /data {5}(\S+)/.exec(running.stderr())?.[1] ?? '';
  const token = /TOKEN=(\S+)/.exec(running.stderr())?.[1] ?? '';
  const answer = await fetch(`${data}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ model: 'llama3.2', messages: [{ role: 'user', content: 'hi' }] }),
  });
  assert.equal(answer.status, 200);
  assert.match(await answer.text(), /"finish_reason":"stop"/);
});
