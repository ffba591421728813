import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { PolicyError } from '../../src/errors.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { type Kind, missing, noModule, startToolchain } from './toolchain-fixture.ts';

const quick = { modules: { 'a.rego': 'package a\n\np := 1' }, data: {}, entrypoints: ['a'] };
const endless = {
  modules: { 'a_test.rego': 'package a\n\ntest_loop if {\n\tsome a in numbers.range(1, 100000000)\n\ta == 0\n}' },
  data: {},
  timeoutMs: 60_000,
};

function hasCode(code: string) {
  return (error: unknown): true => {
    assert.ok(error instanceof PolicyError);
    assert.equal(error.faults[0]?.code, code);
    return true;
  };
}

async function waitUntil(isTrue: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + 30_000; !isTrue(); await sleep(20))
    if (Date.now() > deadline) assert.fail(`waited 30 s: ${what}`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // One that has ended and whose new parent does not ask for it.
    return process.platform !== 'linux' || !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}

async function pidOf(toolchain: { pid(): number | undefined }): Promise<number> {
  await waitUntil(() => toolchain.pid() !== undefined, 'the child starts');
  return toolchain.pid() ?? assert.fail();
}

const notLinux = process.platform === 'linux' ? false : 'only Linux shows the environment of a process in /proc';

/** Runs a process of its own that compiles once; prints the child's id. */
async function compileElsewhere(kind: Kind, then: string): Promise<number> {
  const fixture = new URL('toolchain-fixture.ts', import.meta.url).href;
  const source = `
    import { startToolchain } from ${JSON.stringify(fixture)};
    const toolchain = startToolchain({ after() {} }, { kind: ${JSON.stringify(kind)}, idleMs: 60000 });
    await toolchain.compile(${JSON.stringify(quick)});
    console.log(toolchain.pid());
    ${then}`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', source], {
    timeout: 60_000,
  });
  assert.equal(stderr, '');
  return Number(stdout);
}

for (const kind of ['wasm', 'native'] as const) {
  const skip = missing[kind];

  test(`${kind}: a child that is killed fails its call, and the next call gets a new one`, { skip }, async (t) => {
    const toolchain = startToolchain(t, { kind });
    const call = toolchain.test(endless);
    const refused = assert.rejects(call, hasCode('toolchain_died'));
    const pid = await pidOf(toolchain);
    process.kill(pid, 'SIGKILL');
    await refused;
    assert.equal((await toolchain.compile(quick)).entrypoints.length, 1);
    assert.notEqual(toolchain.pid(), pid);
  });

  test(`${kind}: a call that takes too long is ended, and the next call gets a new child`, { skip }, async (t) => {
    // The start of a child counts too, and takes seconds where the machine is busy.
    const toolchain = startToolchain(t, { kind, deadlineMs: 6_000 });
    await assert.rejects(toolchain.test(endless), hasCode('toolchain_timeout'));
    assert.equal((await toolchain.compile(quick)).entrypoints.length, 1);
  });

  test(`${kind}: an idle child ends`, { skip }, async (t) => {
    const toolchain = startToolchain(t, { kind, idleMs: 50 });
    const compiled = toolchain.compile(quick);
    const pid = await pidOf(toolchain);
    await compiled;
    await waitUntil(() => !isAlive(pid), 'the idle child ends');
    assert.equal(toolchain.pid(), undefined);
  });

  test(`${kind}: a child that was warmed up serves the call, and ends without one`, { skip }, async (t) => {
    const toolchain = startToolchain(t, { kind, idleMs: 3_000 });
    toolchain.warmUp();
    const pid = await pidOf(toolchain);
    await toolchain.compile(quick);
    assert.equal(toolchain.pid(), pid);
    const unasked = startToolchain(t, { kind, idleMs: 50 });
    unasked.warmUp();
    await waitUntil(() => unasked.pid() === undefined, 'the child that nobody asked ends');
  });

  test(`${kind}: a child in the background lets others go first`, { skip: skip || notLinux }, async (t) => {
    const toolchain = startToolchain(t, { kind, inBackground: true });
    await toolchain.compile(quick);
    assert.ok(getPriority(await pidOf(toolchain)) > getPriority());
  });

  test(`${kind}: calls that overlap are all answered, each with its own answer`, { skip }, async (t) => {
    const toolchain = startToolchain(t, { kind });
    const results = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        toolchain.inspect({ modules: { 'x.rego': `package ${name}\n\np if input.${name}` }, data: {} }),
      ),
    );
    assert.deepEqual(
      results.map((found) => found.reads.members),
      [['a'], ['b'], ['c']],
    );
  });

  test(`${kind}: closing ends the child, the call in flight and every later call`, { skip }, async (t) => {
    const toolchain = startToolchain(t, { kind });
    const inFlight = assert.rejects(toolchain.test(endless), hasCode('toolchain_closed'));
    const pid = await pidOf(toolchain);
    await toolchain.close();
    await inFlight;
    assert.equal(isAlive(pid), false);
    await assert.rejects(toolchain.compile(quick), hasCode('toolchain_closed'));
  });

  test(`${kind}: an idle child keeps no process from ending and does not outlive it`, { skip }, async () => {
    const pid = await compileElsewhere(kind, '');
    await waitUntil(() => !isAlive(pid), 'the child ends with its parent');
  });

  test(`${kind}: a process may end by closing its tool chain`, { skip }, async () => {
    assert.equal(isAlive(await compileElsewhere(kind, 'await toolchain.close();')), false);
  });

  test(`${kind}: the child gets nothing of the environment`, { skip: skip || notLinux }, async (t) => {
    const toolchain = startToolchain(t, { kind });
    await toolchain.compile(quick);
    const environment = await readFile(`/proc/${await pidOf(toolchain)}/environ`, 'utf8');
    const names = environment.split('\0').map((entry) => entry.split('=')[0]);
    assert.deepEqual(
      names.filter((name) => name !== '' && !name?.startsWith('NODE_CHANNEL_')),
      [],
    );
  });
}

test('a module that is none is told', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'opallama-'));
  t.after(() => rm(directory, { recursive: true, maxRetries: 10 }));
  const file = join(directory, 'opa.wasm');
  await writeFile(file, 'not a module');
  const toolchain = createToolchain({ path: undefined, wasmFile: file, idleMs: 1_000, deadlineMs: 10_000 });
  t.after(() => toolchain.close());
  await assert.rejects(toolchain.compile(quick), hasCode('toolchain_died'));
});

test('a request for which the module has to grow its memory arrives whole', { skip: noModule }, async (t) => {
  const toolchain = startToolchain(t, { deadlineMs: 200_000 });
  const comment = `# ${'x'.repeat(98)}\n`.repeat(240_000);
  const { changed, faults } = await toolchain.format({ modules: { 'a.rego': `package a\n\n${comment}` } });
  assert.deepEqual([changed, faults], [[], []]);
});
