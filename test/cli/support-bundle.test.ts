/** A support bundle of a sidecar that has seen everything that must not be in it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { makeDirectory } from '../policy/directory.ts';
import { run } from '../support/running.ts';
import { opallama } from './command.ts';

const script = fileURLToPath(new URL('../../bin/opallama.js', import.meta.url));
const canaries = {
  admin: 'CANARY-admin-token-0123456789abcdef',
  jwt: 'CANARY-jwt-secret-0123456789abcdef01',
  opa: 'CANARY-opa-token-0123456789abcdef',
  prompt: 'CANARY-prompt',
  credential: 'CANARY-credential-0123456789',
  header: 'CANARY-header',
};

test('a support bundle says what there is to say, and holds neither secrets nor content', async (t) => {
  const directory = await makeDirectory(t, {
    'policy/authz.rego':
      'package ollama.authz\n\nallow if not contains(input.messages[0].content, "forbidden")\n\ndebug_log := true\n',
    'opallama.yaml': `listen: { data: 127.0.0.1:0, ops: 127.0.0.1:0, admin: 127.0.0.1:0 }
upstream: { base_url: http://127.0.0.1:9 }
policy:
  all_of:
    - { name: local, path: policy }
    - { name: remote, engine: opa, opa: { url: "http://127.0.0.1:9", token_env: OPA_TOKEN } }
identity:
  jwt: [{ algorithm: HS256, secret_env: JWT_SECRET, issuer: a, audience: b }]
  anonymous: { roles: [guest] }
  accept_unknown_credentials: true
admin: { tokens: [{ name: oncall, token_env: ADMIN_TOKEN }] }
log: { level: debug }
`,
  });
  const running = run(process.execPath, [script, 'serve', '--config', join(directory, 'opallama.yaml')], {
    env: {
      OLLAMA_HOST: undefined,
      OLLAMA_BASE_URL: undefined,
      ADMIN_TOKEN: canaries.admin,
      JWT_SECRET: canaries.jwt,
      OPA_TOKEN: canaries.opa,
    },
  });
  t.after(() => running.stop());
  const portOf = async (listener: string): Promise<number> => {
    const [line] = await running.waitFor(new RegExp(`^.*"listener":"${listener}".*$`, 'm'));
    const { port }: { port: number } = JSON.parse(line);
    return port;
  };
  const url = `http://127.0.0.1:${await portOf('data')}`;
  for (const [path, body] of [
    ['/api/chat', JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: canaries.prompt }] })],
    [
      '/api/chat',
      JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: `forbidden ${canaries.prompt}` }] }),
    ],
    ['/api/chat', `{"model":"tiny","messages":[{"content":"${canaries.prompt}"`],
    [`/${canaries.prompt}`, canaries.prompt],
  ] as const) {
    const answer = await fetch(url + path, {
      method: 'POST',
      body,
      headers: {
        authorization: `Bearer ${canaries.credential}`,
        'user-agent': canaries.header,
        'x-opallama-debug': '1',
      },
    });
    await answer.text();
  }
  const adminUrl = `http://127.0.0.1:${await portOf('admin')}`;
  await fetch(`${adminUrl}/v1/status`, { headers: { authorization: `Bearer ${canaries.credential}` } });

  const output = join(directory, 'bundle.tar.gz');
  const call = ['support-bundle', '--admin-url', adminUrl, '--output', output];
  const made = await opallama(call, { env: { OPALLAMA_ADMIN_TOKEN: canaries.admin } });
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stdout, /bundle\.tar\.gz: about\.json, config\.yaml, .*Read it before you send it/);
  assert.equal(statSync(output).mode & 0o777, 0o600);
  const again = await opallama(call, { env: { OPALLAMA_ADMIN_TOKEN: canaries.admin } });
  assert.equal(again.code, 2);
  assert.match(again.stderr, /is there already/);

  execFileSync('tar', ['xzf', output, '-C', directory]);
  const [folder = ''] = readdirSync(directory).filter((name) => name.startsWith('opallama-support-'));
  const files = readdirSync(join(directory, folder));
  assert.deepEqual(files, ['about.json', 'config.yaml', 'log.jsonl', 'metrics.txt', 'readiness.txt', 'status.json']);
  const texts = new Map(files.map((name) => [name, readFileSync(join(directory, folder, name), 'utf8')]));
  for (const [name, text] of texts) {
    for (const [what, canary] of Object.entries(canaries)) assert.ok(!text.includes(canary), `${what} in ${name}`);
    assert.doesNotMatch(text, /CANARY|PRIVATE KEY/, name);
  }
  assert.match(texts.get('config.yaml') ?? '', /secret_env: JWT_SECRET/);
  assert.match(texts.get('metrics.txt') ?? '', /^opallama_requests_total\{/m);
  assert.match(texts.get('readiness.txt') ?? '', /local/);
  assert.equal(JSON.parse(texts.get('about.json') ?? '').log_level.level, 'debug');
  assert.deepEqual(Object.keys(JSON.parse(texts.get('status.json') ?? '').revisions), ['local', 'remote']);
  const lines = (texts.get('log.jsonl') ?? '')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).msg);
  for (const wanted of ['listening', 'policy loaded', 'the request was decided', 'the request ended'])
    assert.ok(lines.includes(wanted), `${wanted}\n${lines.join('\n')}`);
  // They go to standard error as well.
  const last = String(lines.at(-1));
  await running.waitFor(new RegExp(last.replace(/[^\w ]/g, '\\$&')));
});
