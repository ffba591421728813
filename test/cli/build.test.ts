/** `opallama build`: bundles that OPA takes, and that the sidecar knows as well as the directory they were built from. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { createWasmEngine } from '../../src/decision/engines/wasm.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import { preparePolicy } from '../../src/policy/prepare.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { packBundle } from '../../src/policy/write-bundle.ts';
import { policyInput } from '../decision/input.ts';
import { makeDirectory } from '../policy/directory.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { buildOpaCli } from '../support/opa-cli.ts';
import { opallama, root } from './command.ts';

const skip = noModule;
const run = promisify(execFile);
const rego = `package ollama.authz

# METADATA
# title: Who may
# custom:
#   code: not_listed
default allow := false

allow if input.model in data.models
`;
const passing =
  'package ollama.authz_test\n\nimport data.ollama.authz\n\ntest_listed if authz.allow with input as {"model": "tiny"}\n';
const failing = passing.replace('"tiny"', '"other"');
// What two writers of JSON may write in two ways.
// The integer is longer than JavaScript's numbers.
const data = JSON.stringify({
  long: JSON.rawJSON('12345678901234567890123'),
  models: ['tiny'],
  odd: { '\u{1F600}': 'a', '\u{FFFD}': '\u2028<&>\u007f\b\f\u0001', é: [1e21, 1.5, -0, 1e-7, true, null, [], {}] },
});
const files = { 'authz/a.rego': rego, 'authz/a_test.rego': passing, 'data.json': data };
/** Nothing can be compiled by it: who gets along with it needs no compiler. */
const noToolchain = createToolchain({ path: undefined, wasmFile: '/nowhere' });

async function build(directory: string, ...options: readonly string[]) {
  return opallama(['build', directory, '-o', join(directory, 'out.tar.gz'), ...options]);
}

async function prepare(path: string) {
  return preparePolicy({ path, entrypoint: 'ollama/authz', toolchain: noToolchain });
}

test('a bundle tells the sidecar what the policy reads, its codes, shape and revision, without a compiler', {
  skip,
}, async (t) => {
  const directory = await makeDirectory(t, files);
  const built = await build(directory);
  assert.equal(built.code, 0, built.stderr);
  assert.match(built.stdout, /1 passed/);
  const toolchain = createToolchain({ path: undefined });
  t.after(() => toolchain.close());
  const source = await preparePolicy({
    path: await makeDirectory(t, files),
    entrypoint: 'ollama/authz',
    toolchain,
  });
  const { policy, warnings } = await prepare(join(directory, 'out.tar.gz'));
  assert.deepEqual(warnings, []);
  assert.deepEqual(policy.reads, { all: false, members: new Set(['model']) });
  assert.deepEqual([...policy.codes], ['not_listed']);
  assert.equal(policy.shapes.get('ollama/authz'), 'allow');
  assert.equal(policy.deterministic, true);
  for (const member of ['revision', 'reads', 'codes', 'shapes', 'deterministic', 'builtins', 'data'] as const)
    assert.deepEqual(policy[member], source.policy[member], member);

  const loaded = await createWasmEngine().load(policy);
  assert.deepEqual(await loaded.evaluate('ollama/authz', policyInput({ model: 'tiny' })), [{ allow: true }]);
  assert.deepEqual(await loaded.evaluate('ollama/authz', policyInput({ model: 'x' })), [{ allow: false }]);
});

test('the report is not believed of another policy.wasm, nor if it is malformed, and it is said', {
  skip,
}, async (t) => {
  const directory = await makeDirectory(t, files);
  await build(directory);
  const bundle = join(directory, 'out.tar.gz');
  const { files: content } = await readBundle(bundle);
  const manifest = JSON.parse(await manifestOf(bundle));
  const everything = { all: true, members: new Set() };
  const altered = async (metadata: unknown, wasm?: Uint8Array) => {
    const copy = new Map(content);
    copy.set('.manifest', Buffer.from(JSON.stringify({ ...manifest, metadata })));
    if (wasm !== undefined) copy.set('policy.wasm', wasm);
    await writeFile(bundle, await packBundle(copy));
    return prepare(bundle);
  };

  // A custom section more (id 0, one byte, an empty name): the same policy in other bytes.
  const other = Buffer.concat([content.get('policy.wasm') ?? Buffer.of(), Buffer.of(0, 1, 0)]);
  const swapped = await altered(manifest.metadata, other);
  assert.deepEqual(swapped.policy.reads, everything);
  assert.equal(swapped.policy.deterministic, false);
  assert.match(swapped.warnings?.join() ?? '', /another policy\.wasm: it is given all of the input/);

  const report = manifest.metadata.opallama;
  for (const wrong of [null, 'x', {}, { ...report, version: 2 }, { ...report, reads: { all: false } }]) {
    const { policy, warnings } = await altered({ opallama: wrong });
    assert.deepEqual(policy.reads, everything);
    assert.equal(warnings?.length, 1);
  }
  const none = await altered(undefined);
  assert.deepEqual(none.policy.reads, everything);
  assert.deepEqual(none.warnings, []);
});

async function manifestOf(bundle: string): Promise<string> {
  return (await run('tar', ['-xzOPf', bundle, '/.manifest'])).stdout;
}

test('the same policy gives the same bytes wherever it lies, and tests are not among them', { skip }, async (t) => {
  const [one, two] = [await makeDirectory(t, files), await makeDirectory(t, files)];
  await build(one);
  await build(two);
  const bytes = await readFile(join(one, 'out.tar.gz'));
  assert.ok(bytes.equals(await readFile(join(two, 'out.tar.gz'))));
  const { stdout } = await run('tar', ['-tzvPf', join(one, 'out.tar.gz')], { env: { TZ: 'UTC' } });
  const lines = stdout.trim().split('\n');
  assert.deepEqual(
    lines.map((line) => line.split(' ').at(-1)),
    ['/.manifest', '/authz/a.rego', '/data.json', '/policy.wasm'],
  );
  assert.ok(lines.every((line) => line.includes('1970-01-01 00:00')));
});

test('a policy whose tests fail is not built, unless --no-test says so', { skip }, async (t) => {
  const directory = await makeDirectory(t, { ...files, 'authz/a_test.rego': failing });
  const refused = await build(directory);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /a_test\.rego:5:1: test_failed/);
  assert.equal(existsSync(join(directory, 'out.tar.gz')), false);
  const forced = await build(directory, '--no-test', '--revision', 'r1');
  assert.equal(forced.code, 0);
  assert.match(forced.stdout, /revision r1\n.*not run/s);
});

test('a policy that does not compile, or is not there, is not built', { skip }, async (t) => {
  const directory = await makeDirectory(t, { 'a.rego': 'package a\n\nallow if nobody\n' });
  const broken = await build(directory, '--entrypoint', 'a');
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, new RegExp(`${directory}/a\\.rego:3:10: rego_unsafe_var_error`));
  assert.equal((await build(join(directory, 'none'))).code, 2);
  const elsewhere = await makeDirectory(t, { 'a.rego': 'package a\n\nallow := true\n' });
  const unnamed = await build(elsewhere);
  assert.match(unnamed.stderr, /no rule or package is named "ollama\/authz"/);
  assert.equal(unnamed.code, 1);
});

const keys = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048, ...pem }),
  PS384: () => generateKeyPairSync('rsa', { modulusLength: 2048, ...pem }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256', ...pem }),
};
const pem = {
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
} as const;

for (const algorithm of ['RS256', 'PS384', 'ES256'] as const) {
  test(`OPA verifies the signature by ${algorithm}, and refuses another key's and altered files`, {
    skip,
  }, async (t) => {
    const opa = await buildOpaCli();
    const [own, foreign] = [keys[algorithm](), keys[algorithm]()];
    const directory = await makeDirectory(t, files);
    const keyFiles = await makeDirectory(t, {
      'private.pem': own.privateKey,
      'public.pem': own.publicKey,
      'foreign.pem': foreign.publicKey,
      'claims.json': '{"scope": "write", "keyid": "k1"}',
    });
    const signing = ['--signing-key', join(keyFiles, 'private.pem'), '--signing-alg', algorithm];
    const built = await build(directory, ...signing, '--claims', join(keyFiles, 'claims.json'));
    assert.equal(built.code, 0, built.stderr);
    const bundle = join(directory, 'out.tar.gz');
    const verify = (key: string, path = bundle) =>
      run(opa, [
        'build',
        ...['-b', path, '-o', join(keyFiles, 'checked.tar.gz'), '--scope', 'write'],
        ...['--verification-key', join(keyFiles, key), '--verification-key-id', 'k1', '--signing-alg', algorithm],
      ]);
    await verify('public.pem');
    await assert.rejects(verify('foreign.pem'));

    const signature = (await run('tar', ['-xzOPf', bundle, '/.signatures.json'])).stdout;
    const { files: content } = await readBundle(bundle);
    const altered = new Map([...content, ['.manifest', Buffer.from(await manifestOf(bundle))] as const]);
    altered.set('data.json', Buffer.from(data.replace('tiny', 'tidy')));
    altered.set('.signatures.json', Buffer.from(signature));
    await writeFile(join(keyFiles, 'altered.tar.gz'), await packBundle(altered));
    await assert.rejects(verify('public.pem', join(keyFiles, 'altered.tar.gz')), { stdout: /digest mismatch/ });
  });
}

test('a key that is none, or does not fit the algorithm, is a wrong call', { skip }, async (t) => {
  const directory = await makeDirectory(t, files);
  const key = await makeDirectory(t, {
    'ec.pem': keys.ES256().privateKey,
    'text.pem': 'nothing',
    'list.json': '[]',
  });
  for (const [options, said] of [
    [['--signing-key', join(key, 'none.pem')], /can't be read/],
    [['--signing-key', join(key, 'text.pem')], /no private key in PEM/],
    [['--signing-key', join(key, 'ec.pem')], /does not fit RS256/],
    [['--signing-key', join(key, 'ec.pem'), '--claims', join(key, 'list.json')], /one JSON object/],
    [['--claims', join(key, 'list.json')], /--signing-key/],
  ] as const) {
    const { code, stderr } = await build(directory, '--no-test', ...options);
    assert.equal(code, 2);
    assert.match(stderr, said);
  }
  assert.equal(existsSync(join(directory, 'out.tar.gz')), false);
});

test('OPA loads the shipped policy as a bundle, and finds its module and entrypoints', { skip }, async (t) => {
  const opa = await buildOpaCli();
  const directory = await makeDirectory(t, { 'out.txt': '' });
  const bundle = join(directory, 'bundle.tar.gz');
  const built = await opallama([
    'build',
    'policies',
    '-o',
    bundle,
    '--revision',
    'r7',
    '--no-test',
    '--format',
    'json',
  ]);
  assert.partialDeepStrictEqual(JSON.parse(built.stdout), {
    revision: 'r7',
    entrypoints: [{ name: 'ollama/authz', shape: 'allow' }],
    signed: null,
    reads: { all: false },
  });
  // The command that Go builds has no WebAssembly engine, so it can load such a bundle and not evaluate it.
  const { manifest, namespaces } = JSON.parse((await run(opa, ['inspect', '--format', 'json', bundle])).stdout);
  assert.equal(manifest.revision, 'r7');
  assert.equal(manifest.rego_version, 1);
  assert.ok(namespaces['data.ollama.authz'].includes('/policy.wasm'));
  await run(opa, ['build', '-b', bundle, '-o', join(directory, 'again.tar.gz')]);

  // The wasm that `opa build` makes of the same files names the same entrypoints.
  await cp(join(root, 'policies'), join(directory, 'policies'), {
    recursive: true,
    filter: (source) => !source.endsWith('_test.rego'),
  });
  await run(opa, ['build', '-b', '-t', 'wasm', '-e', 'ollama/authz', '-o', 'theirs.tar.gz', 'policies'], {
    cwd: directory,
  });
  const ours: unknown = JSON.parse(await manifestOf(bundle)).wasm;
  const entrypoints = (list: unknown) =>
    Array.isArray(list) ? list.map(({ entrypoint, module }) => ({ entrypoint, module })) : [];
  assert.deepEqual(entrypoints(ours), entrypoints(JSON.parse(await manifestOf(join(directory, 'theirs.tar.gz'))).wasm));
});

test('OPA evaluates a bundle with --target rego as the sidecar does', { skip }, async (t) => {
  const opa = await buildOpaCli();
  const directory = await makeDirectory(t, files);
  assert.equal((await build(directory, '--target', 'rego')).code, 0);
  const bundle = join(directory, 'out.tar.gz');
  for (const model of ['tiny', 'other']) {
    await writeFile(join(directory, 'input.json'), JSON.stringify({ model }));
    const { stdout } = await run(opa, [
      ...['eval', '--format', 'raw', '-b', bundle, '-i', join(directory, 'input.json'), 'data.ollama.authz.allow'],
    ]);
    assert.equal(stdout.trim(), String(model === 'tiny'));
  }
});

test('a bundle that can not be written is a wrong call, and the message names the place', { skip }, async (t) => {
  const directory = await makeDirectory(t, files);
  const { code, stderr } = await opallama(['build', directory, '--output', join(directory, 'none/out.tar.gz')]);
  assert.equal(code, 2);
  assert.match(stderr, /none\/out\.tar\.gz can not be written \(ENOENT\)\. Its directory must be there already\.\n$/);
});
