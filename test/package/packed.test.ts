/** What is published: packed, installed elsewhere, run from emitted JavaScript with its workers and data files. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { startAnsweringUpstream } from '../support/answering-upstream.ts';
import { run } from '../support/running.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const limits = { timeout: 240_000, maxBuffer: 1 << 26 };

/**
 * A machine that has Node 26 with npm and nothing else of ours: no Go, no opa, no other Node.
 * @returns its environment
 */
async function bareMachine(t: TestContext): Promise<NodeJS.ProcessEnv> {
  const bin = await mkdtemp(join(tmpdir(), 'opallama-bin-'));
  t.after(() => rm(bin, { recursive: true, maxRetries: 10 }));
  await symlink(process.execPath, join(bin, 'node'));
  for (const command of ['npm', 'npx', 'sh']) await symlink(await findCommand(command), join(bin, command));
  const inherited = Object.entries(process.env).filter(([name]) => !/^(?:OPALLAMA|OLLAMA|npm|NODE|GO)/i.test(name));
  return { ...Object.fromEntries(inherited), PATH: bin };
}

async function findCommand(name: string): Promise<string> {
  const { stdout } = await promisify(execFile)('sh', ['-c', `command -v ${name}`]);
  return realpath(stdout.trim());
}

async function install(t: TestContext, env: NodeJS.ProcessEnv): Promise<string> {
  const elsewhere = await mkdtemp(join(tmpdir(), 'opallama-packed-'));
  t.after(() => rm(elsewhere, { recursive: true, maxRetries: 10 }));
  await promisify(execFile)('npm', ['pack', '--pack-destination', elsewhere], { ...limits, cwd: root });
  const options = ['--prefer-offline', '--no-audit', '--no-fund'];
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  await writeFile(join(elsewhere, 'package.json'), '{"private":true}');
  await promisify(execFile)('npm', ['install', ...options, `./opallama-${version}.tgz`], {
    ...limits,
    cwd: elsewhere,
    env,
  });
  return elsewhere;
}

test('the packed package runs where it is installed', { timeout: 300_000 }, async (t) => {
  const env = await bareMachine(t);
  const elsewhere = await install(t, env);
  const command = join(elsewhere, 'node_modules/opallama/bin/opallama.js');
  const opallama = (...args: readonly string[]) =>
    promisify(execFile)(process.execPath, [command, ...args], { ...limits, cwd: elsewhere, env });

  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  assert.equal((await opallama('--version')).stdout, `${version}\n`);

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
    env: { ...env, OPALLAMA_POLICY__ENGINE: 'module', OPALLAMA_POLICY__PATH: 'authz.ts' },
  });
  assert.match(ofModule, /authz\.ts: revision [0-9a-f]{12}/);

  // Processes of their own.
  const several = run(process.execPath, [command, 'serve', '--workers', '2', '--listen-data', '127.0.0.1:0'], {
    cwd: elsewhere,
    env: {
      ...onlyThese(env),
      OPALLAMA_LISTEN__OPS: '127.0.0.1:0',
      OPALLAMA_POLICY__ENGINE: 'module',
      OPALLAMA_POLICY__PATH: 'authz.ts',
      OLLAMA_HOST: undefined,
      OLLAMA_BASE_URL: await startAnsweringUpstream(t),
    },
  });
  t.after(() => several.stop());
  const [, port] = await several.waitFor(/"listener":"data".*?"port":(\d+)/);
  for (let request = 0; request < 4; request += 1) {
    const told = await fetch(`http://127.0.0.1:${port}/api/chat`, {
      method: 'POST',
      body: '{"model":"tiny","stream":false}',
    });
    assert.equal(told.status, 200);
  }
  assert.equal(await several.stop(), 0);
  assert.equal(several.stdout().match(/"event":"audit"/g)?.length, 4);

  // As a person would start it: the shipped policy is compiled, the practice upstream answers.
  await rm(join(elsewhere, 'opallama.yaml'));
  const running = run('npx', ['opallama', 'quickstart'], { cwd: elsewhere, env: { ...onlyThese(env), ...noOllama } });
  t.after(() => running.stop());
  await running.waitFor(/Ctrl\+C stops it/);
  const token = /TOKEN=(\S+)/.exec(running.stderr())?.[1] ?? '';
  const data = /data {5}(\S+)/.exec(running.stderr())?.[1] ?? '';
  const ask = (model: string) =>
    fetch(`${data}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }),
    });
  const allowed = await ask('llama3.2');
  assert.equal(allowed.status, 200);
  assert.match(await allowed.text(), /"finish_reason":"stop"/);
  const denied = await ask('gpt-oss:120b-cloud');
  assert.equal(denied.status, 403);
  assert.match(await denied.text(), /cloud_model_not_allowed/);
});

const noOllama = { OLLAMA_HOST: '127.0.0.1:9', OLLAMA_BASE_URL: undefined };

/** What the test has and the machine has not is taken out. */
function onlyThese(env: NodeJS.ProcessEnv): Readonly<Record<string, string | undefined>> {
  return { ...Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined])), ...env };
}
