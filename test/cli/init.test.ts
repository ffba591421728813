/** `opallama init`: each template compiles, passes its tests with every line covered, and decides as its README says. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { noModule } from '../policy/toolchain-fixture.ts';
import { commandsOf } from '../support/commands-of.ts';
import { opallama, root } from './command.ts';

const skip = noModule;
const home = mkdtempSync(join(tmpdir(), 'opallama-init-'));
after(() => rmSync(home, { recursive: true, maxRetries: 10 }));

const names = readdirSync(join(root, 'templates'));
assert.deepEqual(names.toSorted(), ['allow-list', 'data-class', 'hours', 'roles', 'tools']);

for (const name of names) {
  test(`the template ${name} is formatted, and every command of its README does what it says`, {
    skip,
  }, async () => {
    const directory = `of-${name}`;
    const written = await opallama(['init', directory, '--template', name], { cwd: home });
    assert.equal(written.code, 0, written.stderr);
    assert.match(written.stdout, new RegExp(`wrote ${directory}/data\\.json`));
    assert.equal((await opallama(['fmt', '--check', directory], { cwd: home })).code, 0);

    const readme = readFileSync(join(home, directory, 'README.md'), 'utf8');
    const commands = commandsOf(readme);
    assert.ok(commands.length > 4);
    for (const [command, ...args] of commands) {
      assert.equal(command, 'opallama');
      const { code, stdout, stderr } = await opallama(args, { cwd: home });
      assert.equal(code, 0, `${args.join(' ')}\n${stdout}\n${stderr}`);
      if (args[0] === 'check') assert.match(stdout, /Nothing found/);
    }
    const codes = readFileSync(join(home, directory, 'ollama/authz.rego'), 'utf8').matchAll(/^# {3}code: (\w+)$/gm);
    for (const [, code = ''] of codes) {
      const tested = `${readme}${readFileSync(join(home, directory, 'ollama/authz_test.rego'), 'utf8')}`;
      assert.ok(tested.includes(code), code);
    }
  });
}

test('nothing is overwritten: where one file is there nothing is written', async () => {
  mkdirSync(join(home, 'mine'));
  writeFileSync(join(home, 'mine/data.json'), '{}');
  const { code, stdout, stderr } = await opallama(['init', 'mine'], { cwd: home });
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.match(stderr, /mine\/data\.json is there already; nothing was written/);
  assert.deepEqual(readdirSync(join(home, 'mine')), ['data.json']);
});

test('wrong calls write nothing and end with 2', async () => {
  for (const args of [['x', '--template', 'none'], ['a b', '--template', 'roles'], ['-x']]) {
    assert.equal((await opallama(['init', ...args], { cwd: home })).code, 2, args.join(' '));
  }
  assert.equal(existsSync(join(home, 'x')), false);
});
