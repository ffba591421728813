/** `opallama keys`: what it prints, what it writes, and what it refuses to. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

import { Command, CommanderError } from 'commander';

import { registerKeys } from '../../src/cli/keys.ts';
import { CallError } from '../../src/errors.ts';
import { createApiKeyAuthenticator } from '../../src/identity/api-key-authenticator.ts';
import { parseApiKeyFile } from '../../src/identity/api-key-file.ts';
import { createRevocations } from '../../src/identity/revocations.ts';

function inDirectory(t: TestContext) {
  const cwd = mkdtempSync(join(tmpdir(), 'opallama-keys-'));
  t.after(() => rmSync(cwd, { recursive: true, maxRetries: 10 }));
  const file = join(cwd, 'keys.yaml');
  const run = (...words: readonly string[]): string => {
    let printed = '';
    const program = new Command().exitOverride();
    const environment = { env: {}, cwd, readFile: (path: string) => readFileSync(path) };
    registerKeys(program, {
      environment,
      write: (text) => {
        printed += text;
      },
    });
    for (const command of program.commands.flatMap((each) => [each, ...each.commands]))
      command.exitOverride().configureOutput({ writeErr: () => {} });
    program.parse(['node', 'opallama', 'keys', ...words]);
    return printed;
  };
  const create = (...more: readonly string[]): string =>
    run('create', '--file', 'keys.yaml', '--principal', 'ci', '--role', 'developer', ...more).trim();
  const ask = (value: string): string => {
    const parsed = parseApiKeyFile(readFileSync(file));
    assert.ok(typeof parsed !== 'string', String(parsed));
    const { authenticate, replace } = createApiKeyAuthenticator(createRevocations());
    replace(parsed.value);
    return JSON.stringify(authenticate({ scheme: 'bearer', value }));
  };
  return { cwd, file, run, create, ask };
}

test('a key that was created lets its principal in, and the file does not hold it', (t) => {
  const { create, ask, file, cwd } = inDirectory(t);
  const key = create('--tenant', 'acme', '--permission', 'web:read');
  assert.match(key, /^opl_[a-z2-7]{12}_[A-Za-z0-9_-]{43}$/);
  assert.match(ask(key), /"id":"ci".*"permissions":\["web:read"\],"tenant":"acme"/);
  assert.ok(!readFileSync(file, 'utf8').includes(key.slice(17)));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(cwd), ['keys.yaml']);
});

test('a key expires after 90 days unless it is said otherwise', (t) => {
  const { create, run } = inDirectory(t);
  for (const more of [[], ['--expires', '12h'], ['--expires', 'never']]) create(...more);
  const list: unknown = JSON.parse(run('list', '--file', 'keys.yaml', '--format', 'json'));
  assert.ok(Array.isArray(list));
  const hours = list.map(({ created_at: from, expires_at: to }) =>
    to === undefined ? undefined : (Date.parse(to) - Date.parse(from)) / 3_600_000,
  );
  assert.deepEqual(hours, [2160, 12, undefined]);
});

test('the list shows the part of a key that is no secret, and no hash', (t) => {
  const { create, run } = inDirectory(t);
  const key = create('--note', 'for \u001b[31m ci');
  for (const format of ['text', 'json']) {
    const list = run('list', '--file', 'keys.yaml', '--format', format);
    assert.ok(list.includes(key.slice(0, 16)), list);
    assert.ok(!list.includes(key.slice(17)) && !list.includes('sha256'));
    assert.ok(!list.includes('\u001b'));
  }
});

test('a key is revoked by its id or as a whole; comments, other keys and permissions of the file stay', (t) => {
  const { create, run, ask, file } = inDirectory(t);
  const [a, b] = [create(), create()];
  writeFileSync(file, `# ours\n${readFileSync(file, 'utf8')}`, { mode: 0o640 });
  assert.match(run('revoke', a.slice(0, 16), '--file', 'keys.yaml'), /revoked.*opl_/);
  assert.match(ask(a), /revoked/);
  assert.match(ask(b), /"id":"ci"/);
  assert.match(readFileSync(file, 'utf8'), /^# ours/);
  run('revoke', b, '--file', 'keys.yaml');
  assert.match(run('list', '--file', 'keys.yaml'), /revoked.*\n.*revoked/);
});

test('what makes no sense is refused before anything is written', (t) => {
  const { cwd, file, run, create } = inDirectory(t);
  const refused = (why: RegExp, ...words: readonly string[]): void => {
    const before = readFileSync(file, 'utf8');
    assert.throws(
      () => run(...words),
      (error) => (error instanceof CallError || error instanceof CommanderError) && why.test(error.message),
    );
    assert.equal(readFileSync(file, 'utf8'), before);
  };
  const key = create();
  const at = ['--file', 'keys.yaml'];
  refused(/at least one role/, 'create', ...at, '--principal', 'x');
  refused(/hours or days/, 'create', ...at, '--principal', 'x', '--role', 'y', '--expires', '1y');
  refused(/no key/, 'revoke', 'opl_aaaaaaaaaaaa', ...at);
  refused(/by its id/, 'revoke', 'ci', ...at);
  run('revoke', key, ...at);
  refused(/was revoked at/, 'revoke', key, ...at);
  writeFileSync(join(cwd, 'keys.yaml.lock'), '');
  refused(/Another "opallama keys"/, 'create', ...at, '--principal', 'x', '--role', 'y');
  rmSync(join(cwd, 'keys.yaml.lock'));
  writeFileSync(file, 'keys: [');
  refused(/no YAML/, 'create', ...at, '--principal', 'x', '--role', 'y');
});

test('without --file the configuration says which file is meant', (t) => {
  const { cwd, file, run } = inDirectory(t);
  const create = ['create', '--principal', 'x', '--role', 'y'];
  writeFileSync(join(cwd, 'opallama.yaml'), 'identity: { anonymous: { roles: [guest] } }\n');
  assert.throws(() => run(...create), /identity\.api_keys\.file/);
  writeFileSync(join(cwd, 'opallama.yaml'), 'identity: { api_keys: { file: keys.yaml } }\n');
  run(...create);
  assert.match(readFileSync(file, 'utf8'), /principal: x/);
});
