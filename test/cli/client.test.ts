import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Command } from 'commander';
import { registerClient } from '../../src/cli/client.ts';
import { readClients } from '../../src/config/clients-file.ts';
import type { TokenClient } from '../../src/configured/identity.ts';
import { CallError, ConfigError } from '../../src/errors.ts';
import { authenticateClient } from '../../src/identity/clients.ts';

function start(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-client-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10 }));
  const file = join(directory, 'clients.yaml');
  /** @returns the secret that was printed */
  const run = (...args: string[]): string => {
    let written = '';
    const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
    registerClient(program, {
      environment: { env: {}, cwd: directory, readFile: (path) => readFileSync(path) },
      write: (text) => {
        written += text;
      },
    });
    for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => {} });
    program.parse(['node', 'opallama', 'client', ...args, '--file', 'clients.yaml']);
    return written.trimEnd();
  };
  const knows = (id: string, secret: string): TokenClient | undefined => {
    const clients = readClients(readFileSync(file, 'utf8'));
    assert.ok(clients instanceof Map, String(clients));
    return authenticateClient(clients, id, secret);
  };
  return { file, run, knows };
}

test('a new client is written with its hash, and its secret is printed once', (t) => {
  const { file, run, knows } = start(t);
  const secret = run('planner', '--role', 'developer', '--permission', 'web:read', '--tenant', 'blue');
  assert.match(secret, /^ocs_[\w-]{43}$/);
  assert.deepEqual(knows('planner', secret), {
    id: 'planner',
    roles: ['developer'],
    agentRole: undefined,
    permissions: ['web:read'],
    tenant: 'blue',
  });
  assert.ok(!readFileSync(file, 'utf8').includes(secret));
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('a client that is there gets a second secret, and no third; comments stay', (t) => {
  const { file, run, knows } = start(t);
  const other = run('other', '--role', 'analyst');
  const first = run('planner', '--role', 'developer');
  writeFileSync(file, `# of the team\n${readFileSync(file, 'utf8')}`);
  const second = run('planner');
  assert.notEqual(first, second);
  assert.ok(knows('planner', first) && knows('planner', second) && knows('other', other));
  assert.equal(knows('planner', other), undefined);
  assert.match(readFileSync(file, 'utf8'), /^# of the team\n/);
  assert.throws(() => run('planner'), /two secrets/);
});

test('what makes no sense changes nothing', (t) => {
  const { file, run } = start(t);
  run('planner', '--role', 'developer');
  const before = readFileSync(file, 'utf8');
  for (const args of [
    ['new'],
    ['planner', '--role', 'admin'],
    ['a b', '--role', 'x'],
    ['new', '--role', 'x', '--permission', 'a b'],
  ])
    assert.throws(
      () => run(...args),
      (error: unknown) => error instanceof CallError || error instanceof ConfigError,
    );
  assert.equal(readFileSync(file, 'utf8'), before);
  writeFileSync(file, 'clients: [{}]\n');
  assert.throws(() => run('new', '--role', 'x'), ConfigError);
  assert.equal(readFileSync(file, 'utf8'), 'clients: [{}]\n');
});
