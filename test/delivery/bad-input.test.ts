/** What must not decide, put before a running sidecar: refused with file and line, the last good policy deciding. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { PolicyConfig, SignatureConfig } from '../../src/configured/policy.ts';
import { startLivePolicy } from '../../src/delivery/live-policy.ts';
import { loadPolicy } from '../../src/delivery/load-policy.ts';
import { signBundle } from '../../src/policy/sign-bundle.ts';
import { makeBundle, type TarEntry } from '../policy/archive.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { policyConfig } from '../support/policy-config.ts';

/** What each of them would do if it decided, in whole or in part. */
const open = 'package ollama.authz\nallow := true\ndynamic_metadata := {"policy": "bad"}\n';
const good = 'package ollama.authz\nallow := true\ndynamic_metadata := {"policy": data.policy}\n';

const file = (path: string, content: string): TarEntry => ({ path, content });
const goodEntries = [
  file('authz.rego', good),
  file('data.json', '{"policy": "good"}'),
  file('.manifest', '{"revision": "good", "roots": [""]}'),
];
const goodBundle = makeBundle(goodEntries);
const many = Array.from({ length: 10_001 }, (_, number) => file(`rules/r${number}.rego`, `package r${number}\n`));
const bomb = gzipSync(Buffer.alloc(32 * 1024 * 1024));

const cases: ReadonlyArray<readonly [what: string, bytes: () => Buffer, message: RegExp]> = [
  [
    'Rego that does not compile',
    () => makeBundle([file('a/authz.rego', `${open}\ndeny if {\n`)]),
    /^ {2}a\/authz\.rego:6: rego_parse_error: /m,
  ],
  [
    'Rego that names what is not there',
    () => makeBundle([file('authz.rego', `${open}\ndeny contains "x" if nowhere\n`)]),
    /^ {2}authz\.rego:5:\d+: rego_unsafe_var_error: /m,
  ],
  [
    'failing tests',
    () =>
      makeBundle([
        file('authz.rego', open),
        file('authz_test.rego', 'package t\n\ntest_closed if not data.ollama.authz.allow\n'),
      ]),
    /^ {2}authz_test\.rego:3:\d+: test_failed: /m,
  ],
  [
    'the network, which compiled policy does not have',
    () => makeBundle([file('authz.rego', `${open}\ndeny if http.send({"url": "http://x", "method": "GET"})\n`)]),
    /^ {2}authz\.rego:5:\d+: \w+: .*http\.send/m,
  ],
  ['a bundle cut short', () => goodBundle.subarray(0, goodBundle.length - 20), /not a whole \.tar\.gz file/],
  [
    'a file that leaves its root',
    () => makeBundle([file('authz.rego', open), file('../evil.rego', open)]),
    /holds a path that leaves its root/,
  ],
  [
    'a link',
    () => makeBundle([file('authz.rego', open), { path: 'x.rego', type: '2', linkTo: '/etc/passwd' }]),
    /not a plain file/,
  ],
  ['10,001 files', () => makeBundle([file('authz.rego', open), ...many]), /more than 10000 files/],
  ['a compression bomb', () => Buffer.concat(Array.from({ length: 17 }, () => bomb)), /unpacks to more than/],
  [
    'data that is no object',
    () => makeBundle([file('authz.rego', open), file('lists/data.json', '[1]')]),
    /^ {2}lists\/data\.json:1:1: invalid_data: /m,
  ],
  [
    'data that ends early',
    () => makeBundle([file('authz.rego', open), file('data.json', '{"a": 1,\n"b": ')]),
    /^ {2}data\.json:2:\d+: invalid_data: /m,
  ],
  [
    'two files that claim one root',
    () =>
      makeBundle([
        file('authz.rego', open),
        file('data.json', '{"lists": {"a": 1}}'),
        file('lists/data.json', '{"a": 2}'),
      ]),
    /^ {2}lists\/data\.json: data_conflict: data\.lists\.a is defined by another file too/m,
  ],
  [
    'data where a rule is',
    () => makeBundle([file('authz.rego', open), file('data.json', '{"ollama": {"authz": {"allow": true}}}')]),
    /^ {2}authz\.rego:\d+:\d+: rego_compile_error: .*conflict/m,
  ],
  [
    'a package outside of its roots',
    () =>
      makeBundle([
        file('authz.rego', good),
        file('more/evil.rego', '# a comment\n\npackage elsewhere.authz\n'),
        file('data.json', '{"policy": "bad"}'),
        file('.manifest', '{"roots": ["ollama", "policy"]}'),
      ]),
    /^ {2}more\/evil\.rego:3:1: outside_roots: package elsewhere\.authz is outside; the manifest's roots permit "ollama", "policy"$/m,
  ],
  [
    'data outside of its roots',
    () =>
      makeBundle([
        file('authz.rego', open),
        file('lists/data.json', '{\n  "mine": 1,\n  "yours": 2\n}'),
        file('.manifest', '{"roots": ["ollama", "lists/mine"]}'),
      ]),
    /^ {2}lists\/data\.json:3:3: outside_roots: data\.lists\.yours is outside/m,
  ],
  [
    'roots that overlap',
    () => makeBundle([file('authz.rego', open), file('.manifest', '{"roots": ["ollama", "/ollama/authz/"]}')]),
    /has overlapping roots: "ollama" and "ollama\/authz"/,
  ],
  [
    'roots that are none',
    () => makeBundle([file('authz.rego', open), file('.manifest', '{"roots": "ollama"}')]),
    /has roots that are no list of strings/,
  ],
  [
    'a manifest that ends early',
    () => makeBundle([file('authz.rego', open), file('.manifest', '{"roots": [')]),
    /The manifest of the bundle .* is not JSON/,
  ],
  ['no such entrypoint', () => makeBundle([file('authz.rego', 'package elsewhere\nallow := true\n')]), /ollama\/authz/],
  ['nothing', () => Buffer.alloc(0), /not a whole \.tar\.gz file/],
  ['a delta', () => makeBundle([file('authz.rego', open), file('patch.json', '{"data": []}')]), /is a delta/],
  [
    'a delta in a directory',
    () => makeBundle([file('authz.rego', open), file('lists/patch.json', '{"data": []}')]),
    /is a delta \(lists\/patch\.json\)/,
  ],
  [
    'deltas that nobody put there',
    () => makeBundle([file('authz.rego', open), file('.opallama-deltas.json', '{"deltas": []}')]),
    /The deltas in the bundle .* can't be read/,
  ],
  ['a bundle without Rego', () => makeBundle([file('data.json', '{}')]), /holds no Rego/],
];

test('whatever is wrong with a change, it is refused with its place and the last good policy decides', async (t) => {
  const { sidecar, write } = await start(t);
  for (const [what, bytes, message] of cases) {
    await t.test(what, async () => {
      write(bytes());
      await sidecar.app.reload();
      assert.match(await readyz(sidecar), message);
      await decidesGood(sidecar);
    });
  }
  // And none of them stands in the way of the next good one.
  write(makeBundle([file('authz.rego', good), file('data.json', '{"policy": "next"}')]));
  await sidecar.app.reload();
  assert.doesNotMatch(await readyz(sidecar), /refused/);
  assert.deepEqual((await ask(sidecar))?.dynamic_metadata, { policy: 'next' });
});

const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
const signature: SignatureConfig = {
  algorithm: 'RS256',
  key: pair.publicKey,
  keyId: undefined,
  scope: undefined,
  excludeFiles: [],
};
const sign = (entries: readonly TarEntry[]): readonly TarEntry[] => {
  const files = new Map(entries.map(({ path, content }) => [path, Buffer.from(content ?? '')]));
  const content = signBundle(files, { key: pair.privateKey, algorithm: 'RS256', claims: {} });
  return [...entries, { path: '.signatures.json', content }];
};

test('where a key is configured, what is not signed whole is refused with its file and the last good policy decides', async (t) => {
  const { sidecar, write } = await start(t, { signature }, makeBundle(sign(goodEntries)));
  const bad: ReadonlyArray<readonly [string, readonly TarEntry[], RegExp]> = [
    ['unsigned', [file('authz.rego', open)], /has no \.signatures\.json/],
    [
      'partly signed',
      [...sign(goodEntries), file('more.rego', open)],
      /^ {2}more\.rego: signature: is not in the signature/m,
    ],
    [
      'with unsigned deltas',
      [...sign(goodEntries), file('.opallama-deltas.json', '{"version": 1, "deltas": []}')],
      /^ {2}\.opallama-deltas\.json: signature: is not in the signature/m,
    ],
    [
      'stripped of a file',
      sign(goodEntries).slice(1),
      /^ {2}authz\.rego: signature: is in the signature and not in the bundle/m,
    ],
    [
      'with a wrong hash',
      [file('authz.rego', open), ...sign(goodEntries).slice(1)],
      /^ {2}authz\.rego: signature: is not what was signed/m,
    ],
  ];
  for (const [what, entries, message] of bad) {
    await t.test(what, async () => {
      write(makeBundle(entries));
      await sidecar.app.reload();
      assert.match(await readyz(sidecar), message);
      await decidesGood(sidecar);
    });
  }
});

test('two bundles that claim a root are refused, at a start and later', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-roots-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10, force: true }));
  const bundle = (name: string, roots: readonly string[]): void =>
    writeFileSync(
      join(directory, `${name}.tar.gz`),
      makeBundle([
        file('authz.rego', `package ${name}.authz\nallow := true\n`),
        file('.manifest', JSON.stringify({ revision: `${name} ${roots.join()}`, roots })),
      ]),
    );
  const policies = ['one', 'two'].map((name) =>
    policyConfig({ name, path: join(directory, `${name}.tar.gz`), entrypoint: `${name}/authz`, engine: 'topdown' }),
  );
  bundle('one', ['one', 'shared/lists']);
  bundle('two', ['two', 'shared']);
  const refused =
    /policy\.all_of two: The bundle claims what another one claims\.\n *\.manifest: shared_roots: the root "shared" holds "shared\/lists", which the bundle of one claims/;
  await assert.rejects(loadPolicy({ policies }, undefined), refused);
  // Whoever claims everything claims nothing of anybody's: each policy has documents of its own.
  bundle('two', ['']);
  await (await loadPolicy({ policies }, undefined)).close();

  bundle('two', ['two']);
  const live = await startLivePolicy(
    { policies },
    { searchPath: undefined, onLoaded() {}, onRefused() {}, onEvaluationError() {} },
  );
  t.after(() => live.close());
  assert.equal(live.active().revision, 'one one,shared/lists,two two');
  bundle('two', ['two', 'shared/lists/deep']);
  await live.look();
  assert.equal(live.active().revision, 'one one,shared/lists,two two');
  assert.match(String(live.refused().get('two')?.error), /is in "shared\/lists", which the bundle of one claims/);
  bundle('two', ['two', 'shared/other']);
  await live.look();
  assert.equal(live.active().revision, 'one one,shared/lists,two two,shared/other');
});

async function start(t: TestContext, config: Partial<PolicyConfig> = {}, first: Buffer = goodBundle) {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-bad-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10, force: true }));
  const path = join(directory, 'bundle.tar.gz');
  const write = (bytes: Uint8Array): void => {
    writeFileSync(`${path}.new`, bytes);
    renameSync(`${path}.new`, path);
  };
  write(first);
  const sidecar = await startTestSidecar({
    upstream: 'http://127.0.0.1:9',
    anonymousRoles: ['guest'],
    policyConfig: { path, ...config },
  });
  t.after(() => sidecar.close());
  await decidesGood(sidecar);
  return { sidecar, write };
}

async function decidesGood(sidecar: TestSidecar): Promise<void> {
  const event = await ask(sidecar);
  assert.deepEqual([event?.revision, event?.dynamic_metadata], ['good', { policy: 'good' }]);
}

async function ask(sidecar: TestSidecar) {
  const before = sidecar.events.length;
  await (await fetch(`${sidecar.url}/api/tags`)).arrayBuffer();
  return (await sidecar.waitForEvents(before + 1)).at(-1);
}

async function readyz(sidecar: TestSidecar): Promise<string> {
  const answer = await fetch(`${sidecar.opsUrl}/readyz?verbose`);
  assert.equal(answer.status, 200);
  return answer.text();
}
