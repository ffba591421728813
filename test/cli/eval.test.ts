/** `opallama eval` as people and CI call it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { noModule } from '../policy/toolchain-fixture.ts';
import { opallama, root } from './command.ts';

const skip = noModule;
const home = mkdtempSync(join(tmpdir(), 'opallama-eval-'));
after(() => rmSync(home, { recursive: true, maxRetries: 10 }));

const secret = 'a-secret-of-the-tests-0123456789-abcdefgh';
writeFileSync(
  join(home, 'opallama.yaml'),
  `identity: { jwt: [{ algorithm: HS256, secret_env: KEY, issuer: i, audience: a }] }\npolicy: { path: ${join(root, 'policies')} }\n`,
);
const inHome = { cwd: home, env: { KEY: secret } };
const chat = (model: string): string => JSON.stringify({ model, messages: [{ role: 'user', content: 'Rumpelstilz' }] });

/** @returns the document of `--format json` */
async function evaluate(...args: readonly string[]) {
  const { code, stdout, stderr } = await opallama(['eval', '--format', 'json', ...args]);
  assert.equal(code, 0, stderr);
  const document: Readonly<Record<string, unknown>> = JSON.parse(stdout);
  return document;
}

test('a denial is printed with its code, its text and its status, and ends with 0', { skip }, async () => {
  const { code, stdout } = await opallama(['eval', '--as', 'analyst', '/api/chat', '-d', chat('mistral')]);
  assert.equal(code, 0);
  assert.match(stdout, /^deny {2}model_not_allowed {2}No role of the caller \(analyst\)/);
  assert.match(stdout, /answer +403/);
  assert.match(stdout, /asks +chat mistral {2}\(POST \/api\/chat\)/);
  assert.doesNotMatch(stdout, /Rumpelstilz/);
});

test('--expect ends with 1 where it is something else, and with 0 where it is as expected', { skip }, async () => {
  const ask = ['eval', '--as', 'analyst', '/api/chat', '-d', chat('mistral')];
  for (const [expectation, exit] of [
    ['deny', 0],
    ['deny:model_not_allowed', 0],
    ['deny:no_role', 1],
    ['allow', 1],
  ] as const) {
    const { code, stderr } = await opallama([...ask, '--expect', expectation]);
    assert.equal(code, exit, expectation);
    assert.equal(stderr, exit === 0 ? '' : `Expected ${expectation}, got deny:model_not_allowed.\n`);
  }
});

test('a request passes the guard as it would in the sidecar: its refusals show with their codes', {
  skip,
}, async () => {
  for (const [args, code, status] of [
    [['/api/chat', '-d', '{"model":"a","Model":"b"}'], 'ambiguous_member', 400],
    [['/api/chat', '-d', '{"model":"a"} {}'], 'trailing_data', 400],
    [['//api/chat', '-d', '{}'], 'invalid_target', 400],
    [['/api/nothing'], 'unknown_route', 404],
    [['-X', 'PUT', '/api/chat', '-d', '{}'], 'method_not_allowed', 405],
    [['/api/tags', '-H', 'Host: a', '-H', 'Host: b'], 'invalid_host', 400],
    [['/api/tags', '-H', 'Content-Length: 1x'], 'malformed_http', 400],
  ] as const) {
    const told = await evaluate('--as', 'developer', ...args);
    assert.equal(told['decision'], 'refused');
    assert.equal(told['status'], status, code);
    assert.match(JSON.stringify(told['reasons']), new RegExp(`^\\[{"code":"${code}","message":".+"}\\]$`));
  }
});

test('a credential is verified by the keys of the configuration', { skip }, async () => {
  const token = await opallama(['token', '--subject', 'ann', '--role', 'developer'], inHome);
  const ask = (bearer: string) =>
    opallama(
      ['eval', '--format', 'json', '/api/chat', '-d', chat('x'), '-H', `Authorization: Bearer ${bearer}`],
      inHome,
    );
  const allowed = JSON.parse((await ask(token.stdout.trim())).stdout);
  assert.deepEqual([allowed.decision, allowed.principal.id], ['allow', 'ann']);
  const refused = JSON.parse((await ask(`${token.stdout.trim()}x`)).stdout);
  assert.deepEqual([refused.decision, refused.status], ['refused', 401]);
  const none = await opallama(['eval', '--expect', 'refused:missing_credentials', '/api/tags'], inHome);
  assert.equal(none.code, 0, none.stderr);
});

test('a whole curl command can be pasted, and what would be changed in its body is named', { skip }, async () => {
  const body = JSON.stringify({ model: 'llama3.2', stream: true, messages: [] });
  const pasted = ['curl', '-sN', 'http://127.0.0.1:8080/v1/chat/completions', '-d', body];
  const told = await evaluate('--as', 'developer', '--', ...pasted);
  assert.deepEqual(
    [told['decision'], told['operation'], told['model'], told['changes']],
    ['allow', 'chat', 'llama3.2', ['include_usage']],
  );
});

test('the input is printed where it is wanted, and content only where that is wanted too', { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-content-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10 }));
  writeFileSync(join(directory, 'a.rego'), 'package a\n\nallow if count(input.messages) == 1\n');
  const ask = ['--policy', directory, '--entrypoint', 'a', '--as', 'x', '/api/chat', '-d', chat('m'), '--show-input'];
  const hidden = await evaluate(...ask);
  assert.equal(hidden['decision'], 'allow');
  assert.match(JSON.stringify(hidden['input']), /"model":"m".*"erased":\["messages"\]/);
  assert.doesNotMatch(JSON.stringify(hidden), /Rumpelstilz/);
  assert.match(JSON.stringify(await evaluate(...ask, '--show-content')), /Rumpelstilz/);
});

test('who calls, from where and when can be given', { skip }, async () => {
  const principal = JSON.stringify({ id: 'ann', roles: ['a', 'b'], agent_role: 'b', tenant: 't', claims: { x: 1 } });
  const told = await evaluate(
    ...['--principal', principal, '--client-ip', '10.1.2.3', '--now', '2026-01-31T22:00:00Z'],
    ...['/api/tags', '--show-input'],
  );
  const input = JSON.stringify(told['input']);
  assert.match(input, /"principal":{"id":"ann","kind":"jwt","roles":\["a","b"\],"permissions":\[\],"tenant":"t"/);
  assert.match(input, /"client":{"ip":"10\.1\.2\.3"/);
  assert.match(input, /"now_ns":1769896800000000000/);
  assert.match(input, /"agent_role":"b"/);
});

test('an input document is taken as it is, and what the policy misses in it is said', { skip }, async () => {
  const document = { operation: 'models.list', principal: { roles: ['guest'] } };
  const { code, stdout } = await opallama(['eval', '--input', '-', '--expect', 'allow'], {
    stdin: JSON.stringify(document),
  });
  assert.equal(code, 0);
  assert.match(stdout, /^allow\n/);
  assert.match(stdout, /absent +the policy reads model_refs.*, which the input does not have/);
});

test('an evaluation that fails ends with 1 and says why', { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-fails-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10 }));
  writeFileSync(
    join(directory, 'a.rego'),
    'package a\n\nallow := true if input.path\n\nallow := false if input.method\n',
  );
  const { code, stdout } = await opallama([
    'eval',
    '--policy',
    directory,
    '--entrypoint',
    'a',
    '--as',
    'x',
    '/api/tags',
  ]);
  assert.equal(code, 1);
  assert.match(stdout, /^error {2}policy_error/);
  assert.match(stdout, /error +\S+/);
});

test('a policy whose tests fail can be asked, one that does not compile ends with 1 and its place', {
  skip,
}, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-broken-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10 }));
  writeFileSync(join(directory, 'a.rego'), 'package a\n\nallow := true\n');
  writeFileSync(join(directory, 'a_test.rego'), 'package a_test\n\ntest_no if false\n');
  const ask = ['eval', '--policy', directory, '--entrypoint', 'a', '--as', 'x', '/api/tags'];
  assert.equal((await opallama([...ask, '--expect', 'allow'])).code, 0);
  writeFileSync(join(directory, 'a.rego'), 'package a\n\nallow if y\n');
  const { code, stderr } = await opallama(ask);
  assert.equal(code, 1);
  assert.match(stderr, /a\.rego:3:10: rego_unsafe_var_error/);
});

test('wrong calls end with 2 and say what to do', async () => {
  for (const [args, message] of [
    [['eval'], /Give --input <file>, or a request/],
    [['eval', '--as', 'x', '--input', 'a.json', '/api/tags'], /not both/],
    [['eval', '--as', 'x', '--input', 'a.json'], /belong to a request/],
    [['eval', '--input', 'no-such.json'], /no-such\.json can't be read \(ENOENT\)/],
    [['eval', '--as', 'x', '--principal', '{}', '/x'], /either --as or --principal/],
    [['eval', '--principal', '{"role":"x"}', '/x'], /role is none of id, kind, roles/],
    [['eval', '--as', 'x', '/x', '--expect', 'denied'], /Write allow, deny/],
    [['eval', '/api/tags'], /say who calls: --as <role>/],
  ] as const) {
    const { code, stdout, stderr } = await opallama(args);
    assert.equal(code, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, message);
  }
});
