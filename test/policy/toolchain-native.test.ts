/** The program and the module are the same Go: whatever one of them answers, the other one does. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { PolicyError } from '../../src/errors.ts';
import { readPolicySource } from '../../src/policy/source.ts';
import type { Toolchain } from '../../src/policy/toolchain/protocol.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { portOf } from '../support/port-of.ts';
import { reads, refused, shapes } from './toolchain-cases.ts';
import { noProgram, startToolchain, wasmFile } from './toolchain-fixture.ts';

const skip = noProgram;
const native = startToolchain({ after }, { kind: 'native' });
const wasm = startToolchain({ after }, { kind: 'wasm' });

/** What a call comes to, but for how long it took. */
async function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return withoutDurations(await call);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return { message: error.message, faults: error.faults };
  }
}

function withoutDurations(value: unknown): unknown {
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutDurations);
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, name === 'durationNs' ? 0 : withoutDurations(member)]),
  );
}

async function assertSame(ask: (toolchain: Toolchain) => Promise<unknown>): Promise<void> {
  const [one, other] = await Promise.all([outcomeOf(ask(native)), outcomeOf(ask(wasm))]);
  assert.deepEqual(one, other);
}

test('the program is taken where it is built, the module where it is not', { skip }, async () => {
  const [both, alone] = [createToolchain({ path: undefined }), createToolchain({ path: undefined, wasmFile })];
  assert.deepEqual([both.kind, alone.kind], ['native', 'wasm']);
  await Promise.all([both.close(), alone.close()]);
});

test('both compile the shipped policy to the same bytes and run its tests alike', { skip }, async () => {
  const { modules, data } = await readPolicySource(fileURLToPath(new URL('../../policies', import.meta.url)));
  await assertSame((toolchain) => toolchain.compile({ modules, data, entrypoints: ['ollama/authz'] }));
  await assertSame((toolchain) => toolchain.test({ modules, data, coverage: true }));
  await assertSame((toolchain) => toolchain.format({ modules }));
  await assertSame((toolchain) =>
    toolchain.explain({ modules, data, entrypoint: 'ollama/authz', input: { model: 'tiny' }, nowNs: 1, trace: true }),
  );
  const findings = { entrypoints: ['ollama/authz'], decisionNames: ['allow', 'deny'], libraries: [] };
  await assertSame((toolchain) => toolchain.findings({ modules, data, ...findings }));
});

test('both read the same out of a policy, and refuse the same for the same reasons', { skip }, async () => {
  for (const [, rego] of reads)
    await assertSame((toolchain) => toolchain.inspect({ modules: { 'a.rego': `package a\n\n${rego}` }, data: {} }));
  for (const [, rego, entrypoint, , data = {}] of shapes)
    await assertSame((toolchain) =>
      toolchain.inspect({ modules: { 'a.rego': rego }, data, entrypoints: [entrypoint] }),
    );
  for (const { rego, data = {}, entrypoint = 'a' } of refused)
    await assertSame((toolchain) =>
      toolchain.compile({ modules: { 'policies/a.rego': rego }, data, entrypoints: [entrypoint] }),
    );
  const schemas = { input: { type: 'object', properties: { model: { type: 'string' } } } };
  await assertSame((toolchain) =>
    toolchain.check({ modules: { 'a.rego': 'package a\n\np if input.modle == "x"' }, data: {}, schemas }),
  );
});

test('both say of each of many failing tests which expression it ended at', { skip }, async () => {
  const names = Array.from({ length: 2000 }, (_, at) => `test_${at}`);
  const rego = ['package a_test', ...names.map((name) => `${name} if {\n\tx := 1\n\tx == 2\n}`)].join('\n\n');
  // The next test runs, on another thread, while the result of the one before is read.
  for (let times = 0; times < 3; times += 1) {
    const { cases } = await native.test({ modules: { 'a_test.rego': rego }, data: {} });
    assert.deepEqual(
      cases.map(({ name, outcome, failedAt }) => [name, outcome, failedAt?.text]),
      names.map((name) => [name, 'fail', 'x == 2']),
    );
  }
  await assertSame((toolchain) => toolchain.test({ modules: { 'a_test.rego': rego }, data: {} }));
});

const noProc = skip || (process.platform === 'linux' ? false : 'what a process has open is looked up in /proc');

test('the program has all that its runtime waits by before it gives up opening files', { skip: noProc }, async () => {
  // A timer of the runtime's own would have to open it, and ends a process that can't.
  await native.format({ modules: { 'a.rego': 'package a' } });
  const open = `/proc/${native.pid()}/fd`;
  const names = readdirSync(open).map((name) => readlinkSync(`${open}/${name}`));
  assert.ok(names.includes('anon_inode:[eventpoll]'), names.join(' '));
});

test('a policy that is tested reaches no file, no network and no name by the program either', { skip }, async (t) => {
  let asked = 0;
  const server = createServer((_, response) => {
    asked += 1;
    response.end('{}');
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const port = portOf(server);
  const url = `http://127.0.0.1:${port}/`;
  const modules = {
    'a_test.rego': `package a_test
test_send if http.send({"method": "get", "url": "${url}"}).status_code == 200
test_name if net.lookup_ip_addr("localhost")
test_environment if count(opa.runtime().env) > 0
test_schema_of_file if json.match_schema({}, {"$ref": "file://${wasmFile}"})
test_schema_of_server if json.match_schema({}, {"$ref": "${url}"})
test_zone if time.clock([0, "Local"])[0] == 0
`,
  };
  const { cases } = await native.test({ modules, data: {} });
  assert.deepEqual(
    cases.map(({ name, outcome }) => [name, outcome]),
    [
      ['test_send', 'fail'],
      ['test_name', 'fail'],
      ['test_environment', 'fail'],
      ['test_schema_of_file', 'fail'],
      ['test_schema_of_server', 'fail'],
      ['test_zone', 'pass'],
    ],
  );
  await assertSame((toolchain) => toolchain.test({ modules, data: {} }));
  assert.equal(asked, 0);
});
