/** The operator's own module: what it may export, what it may return, and what is said when it is wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyError } from '../../../src/errors.ts';
import { loadModule } from '../isolation/module-policy.ts';

test('a module in TypeScript is run as it is', async (t) => {
  const { ask } = await loadModule(
    t,
    `interface Asked { readonly model?: string }
    export function evaluate(input: Asked): boolean { return input.model === 'tiny'; }`,
    { name: 'authz.ts' },
  );
  assert.deepEqual(await ask('tiny'), [true]);
  assert.deepEqual(await ask('other'), [false]);
});

test('a module says what it reads, and gets that and nothing else', async (t) => {
  const { ask, loaded } = await loadModule(
    t,
    `export const reads = ['model', 'client'];
    export const codes = ['too_early'];
    export const shape = 'deny_list';
    export const deterministic = true;
    export const evaluate = (input, entrypoint) => ({ allow: true, dynamic_metadata: { input, entrypoint } });`,
  );
  assert.deepEqual(loaded.reads, { all: false, members: new Set(['model', 'client']) });
  assert.deepEqual(loaded.codes, new Set(['too_early']));
  assert.equal(loaded.shape('ollama/authz'), 'deny_list');
  assert.equal(loaded.shape('another'), 'unknown');
  assert.equal(loaded.deterministic, true);
  const [result] = await ask('tiny');
  const { now_ns, decision_id, ...input } = Object(Object(result).dynamic_metadata.input);
  assert.equal(typeof now_ns, 'number');
  assert.equal(decision_id, 'd-1');
  assert.deepEqual(input, { model: 'tiny', client: { ip: '127.0.0.1' } });
  assert.equal(Object(result).dynamic_metadata.entrypoint, 'ollama/authz');
});

test('a module that says nothing of itself reads everything and is of no known shape', async (t) => {
  const { loaded } = await loadModule(t, 'export default () => true;');
  assert.equal(loaded.reads.all, true);
  assert.equal(loaded.deterministic, false);
  assert.equal(loaded.shape('ollama/authz'), 'unknown');
});

test('the revision changes with the module and with what it imports by a relative path', async (t) => {
  const revision = async (text: string, imported: string, beside: string) => {
    const source = `import './imported.mjs';\n${text}`;
    const files = { 'imported.mjs': imported, 'beside.mjs': beside };
    return (await loadModule(t, source, { files })).loaded.revision;
  };
  const first = await revision('export const evaluate = () => true;', 'export {};', '1');
  assert.match(first, /^[0-9a-f]{12}$/);
  assert.equal(await revision('export const evaluate = () => true;', 'export {};', '2'), first);
  assert.notEqual(await revision('export const evaluate = () => true; ', 'export {};', '1'), first);
  assert.notEqual(await revision('export const evaluate = () => true;', 'export {}; ', '1'), first);
});

test('a module sees no environment: the secrets of the sidecar may stand there', async (t) => {
  process.env['OPALLAMA_TEST_CANARY'] = 'secret';
  t.after(() => delete process.env['OPALLAMA_TEST_CANARY']);
  const { ask } = await loadModule(
    t,
    'export const evaluate = () => ({ allow: Object.keys(process.env).length === 0 });',
  );
  assert.deepEqual(await ask('tiny'), [{ allow: true }]);
});

for (const [what, returned, code] of [
  ['a function in the place of a denial', '{ allow: true, deny: () => ["no"] }', /the result\.deny is a function/],
  ['a Map', '{ allow: true, deny: new Map([["a", 1]]) }', /the result\.deny is of class Map/],
  ['a promise inside', '{ allow: true, deny: [Promise.resolve("no")] }', /the result\.deny\[0\] is of class Promise/],
  ['a number that JSON does not have', '{ allow: true, http_status: NaN }', /the result\.http_status is NaN/],
  ['a big number', '{ allow: 1n }', /the result\.allow is a bigint/],
  ['a value that holds itself', '(() => { const a = { allow: true }; a.a = a; return a; })()', /deeper than 64/],
  ['an undefined element', '{ deny: [undefined] }', /the result\.deny\[0\] is undefined/],
] as const) {
  test(`${what} in a result is an error, not left out: a denial that vanishes would allow`, async (t) => {
    const { loaded } = await loadModule(t, `export const evaluate = () => (${returned});`);
    await assert.rejects(async () => loaded.evaluate('ollama/authz', JSON.parse('{}')), code);
  });
}

for (const [what, source, place, message, name = 'authz.mjs'] of [
  [
    'a slip of syntax',
    'export const a = 1;\nexport function evaluate( { return true; }\n',
    'authz.mjs:2',
    /SyntaxError|Unexpected/,
  ],
  [
    'a slip of syntax in TypeScript',
    'export const a: number = 1;\nexport function evaluate( { return true; }\n',
    'authz.ts:2',
    /Expected/,
    'authz.ts',
  ],
  ['an error while it is loaded', 'const a = undefined;\n\na.b;\n', 'authz.mjs:3:3', /Cannot read properties/],
  [
    'an import of what is not there',
    "import './missing.mjs';\nexport const evaluate = () => true;",
    'authz.mjs',
    /missing\.mjs/,
  ],
  ['no evaluate', 'export const evaluat = () => true;', 'authz.mjs', /must export a function evaluate/],
  [
    'a wrong shape',
    'export const shape = "denylist";\nexport const evaluate = () => true;',
    'authz.mjs',
    /"shape" must be one of/,
  ],
  [
    'codes that are no codes',
    'export const codes = ["No!"];\nexport const evaluate = () => true;',
    'authz.mjs',
    /"codes" must be a list/,
  ],
] as const) {
  test(`a module with ${what} is refused with its place`, async (t) => {
    await assert.rejects(loadModule(t, source, { name }), (error) => {
      assert.ok(error instanceof PolicyError, String(error));
      const [fault] = error.faults;
      const found = [fault?.file, fault?.row, fault?.column].filter((part) => part !== undefined).join(':');
      assert.ok(found.startsWith(place), error.message);
      assert.match(error.message, message);
      return true;
    });
  });
}

test('a module that ends its thread while it is loaded is refused', async (t) => {
  await assert.rejects(loadModule(t, 'process.exit(3);'), /could not be loaded.*code 3/);
});

test('a module that never ends to load is refused', async (t) => {
  await assert.rejects(loadModule(t, 'await new Promise(() => {});'), PolicyError);
});

test('what is no module is refused', async (t) => {
  await assert.rejects(loadModule(t, 'package a', { name: 'authz.rego' }), /needs policy\.path to name an ES module/);
});

test('a module is never evaluated in the thread of the sidecar', async (t) => {
  await assert.rejects(loadModule(t, 'export default () => true;', { isolation: 'inline' }), /threads of its own/);
});
