/** The library as a policy of somebody's own uses it: imported, compiled or interpreted, asked with input documents. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createTopdownEngine } from '../../src/decision/engines/topdown.ts';
import { createWasmEngine } from '../../src/decision/engines/wasm.ts';
import { narrow } from '../../src/decision/narrow.ts';
import { resolveModelName } from '../../src/input/model-name.ts';
import { preparePolicy } from '../../src/policy/prepare.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import type { PolicyInput } from '../../src/types.ts';
import { policyInput } from '../decision/input.ts';
import { markedBlocks, readPaper, root, tableRows } from '../docs/papers.ts';
import { makeDirectory } from '../policy/directory.ts';

const toolchain = createToolchain({ path: process.env['PATH'] });
const skip =
  toolchain.kind === 'none' && 'neither opa/build/opa.wasm nor an opa on the PATH is here to compile the policy with';
after(() => toolchain.close());

const paper = readPaper('docs/policy-library.md');

const blocks = markedBlocks(paper, 'library');

/** The files of a module's example. */
function exampleOf(name: string): Readonly<Record<string, string>> {
  const files = [...blocks].filter(([file]) => file.startsWith(`${name}/`));
  return Object.fromEntries(files.map(([file, text]) => [file.slice(name.length + 1), text]));
}

const refsOf = (...names: readonly string[]) => names.map((name) => ({ ...resolveModelName(name), part: 'model' }));
const alice = (...roles: readonly string[]) => ({ id: 'alice', kind: 'jwt', roles, permissions: [], claims: {} });
const holding = (...permissions: readonly string[]) => ({ ...alice(), permissions });
const account = (namespace: string, pod?: string) => ({
  ...alice(),
  kind: 'kubernetes',
  claims: {
    'kubernetes.io': {
      namespace,
      serviceaccount: { name: 'planner', uid: '6c5f' },
      ...(pod !== undefined && { pod: { name: pod, uid: '1b2c' } }),
    },
  },
});
const at = (time: string) => Date.parse(time) * 1e6;

interface Case {
  readonly input: Partial<PolicyInput>;
  readonly allow: boolean;
  readonly codes?: readonly string[];
}

const examples: Readonly<Record<string, readonly Case[]>> = {
  models: [
    { input: { model_refs: refsOf('llama3.2:1b', 'hf.co/acme/coder:q4') }, allow: true },
    { input: { model_refs: refsOf('llama3.2', 'mistral') }, allow: false },
    { input: { model_refs: refsOf('llama3-cloud') }, allow: false },
    { input: {}, allow: false },
  ],
  roles: [
    { input: { principal: alice('admin'), operation: 'chat' }, allow: true },
    { input: { principal: alice('analyst'), operation: 'chat' }, allow: true },
    { input: { principal: alice('analyst'), operation: 'models.delete' }, allow: false },
    { input: { principal: alice('admin'), operation: 'models.delete' }, allow: true },
    { input: { principal: alice(), operation: 'chat' }, allow: false },
  ],
  permissions: [
    { input: { principal: holding('web:write'), operation: 'chat', model_refs: refsOf('llama3.2') }, allow: true },
    { input: { principal: holding('web:read'), operation: 'models.list' }, allow: true },
    {
      input: { principal: holding('web:write'), operation: 'chat', model_refs: refsOf('gpt-oss:120b-cloud') },
      allow: false,
    },
    {
      input: { principal: holding('web:read'), operation: 'chat', model_refs: refsOf('llama3.2') },
      allow: false,
      codes: ['permission_missing'],
    },
    {
      input: { principal: holding('web:read', 'web:write'), operation: 'models.pull', model_refs: refsOf('llama3.2') },
      allow: false,
      codes: ['permission_missing'],
    },
    { input: { principal: alice('admin'), operation: 'chat' }, allow: false, codes: ['permission_missing'] },
  ],
  kubernetes: [
    { input: { principal: account('agents', 'planner-7d4b'), operation: 'chat' }, allow: true },
    { input: { principal: account('agents', 'planner-7d4b'), operation: 'models.pull' }, allow: false },
    { input: { principal: account('elsewhere', 'planner-7d4b'), operation: 'chat' }, allow: false },
    { input: { principal: account('agents'), operation: 'chat' }, allow: false },
    { input: { principal: { ...account('agents', 'planner-7d4b'), kind: 'jwt' }, operation: 'chat' }, allow: false },
  ],
  hours: [
    { input: { now_ns: at('2026-01-05T09:00:00Z') }, allow: true },
    { input: { now_ns: at('2026-01-10T02:00:00Z') }, allow: true },
    { input: { now_ns: at('2026-01-05T19:00:00Z') }, allow: false },
    { input: { now_ns: at('2026-01-11T02:00:00Z') }, allow: false },
  ],
  tools: [
    { input: { principal: alice('analyst'), has_tools: false }, allow: true },
    { input: { principal: alice('analyst'), has_tools: true, tools: ['get_weather'] }, allow: true },
    {
      input: { principal: alice('analyst'), has_tools: true, tools: ['get_weather', 'shell'] },
      allow: false,
      codes: ['tool_not_allowed'],
    },
    { input: { principal: alice('operator'), has_tools: true, tools: ['shell [x] {y}'] }, allow: true },
    { input: { principal: alice('analyst') }, allow: false, codes: ['tool_not_allowed'] },
  ],
  limits: [
    { input: { prompt_bytes: 100, image_count: 0, max_tokens: 100 }, allow: true },
    { input: { prompt_bytes: 1e6, image_count: 0, max_tokens: 100 }, allow: false, codes: ['too_large'] },
    { input: { prompt_bytes: 100, image_count: 0 }, allow: false, codes: ['too_large'] },
  ],
  control_zero: [
    { input: { model_refs: refsOf('llama3') }, allow: true },
    { input: { model_refs: refsOf('mistral:7b') }, allow: true },
    { input: { model_refs: refsOf('llama3-uncensored') }, allow: false, codes: ['denied_by_rule'] },
    { input: { model_refs: refsOf('qwen3') }, allow: false, codes: ['no_rule_allows'] },
    {
      input: { model_refs: refsOf('llama3'), llm_action: 'llm:models.delete' },
      allow: false,
      codes: ['no_rule_allows'],
    },
    { input: {}, allow: false, codes: ['no_rule_allows'] },
  ],
};

for (const [section, cases] of Object.entries(examples)) {
  for (const { name, needs, load } of [createWasmEngine(), createTopdownEngine()]) {
    test(`the example of ${section} in docs/policy-library.md decides as it says, by ${name}`, { skip }, async (t) => {
      const path = await makeDirectory(t, exampleOf(section));
      const { policy } = await preparePolicy({ path, entrypoint: 'ollama/authz', toolchain, needs });
      const loaded = await load(policy);
      t.after(() => loaded.close());
      assert.equal(loaded.reads.all, false);
      for (const { input, allow, codes } of cases) {
        const results = await loaded.evaluate('ollama/authz', policyInput(input));
        const { allowed, reasons } = narrow(results, { shape: 'allow', beyondDenyList: undefined });
        const shown = JSON.stringify([input, results]);
        assert.equal(allowed, allow, shown);
        if (codes !== undefined) assert.deepEqual(reasons.map(({ code }) => code).toSorted(), codes, shown);
      }
    });
  }
}

test('globs mean the same where policy is compiled and where it is interpreted, and only the star is special', {
  skip,
}, async (t) => {
  const rego = `package p

import data.opallama.lib.globs

matched := [[pattern, text, kind] |
	some pattern in input.metadata.patterns
	some text in input.metadata.texts
	some kind, holds in {
		"text": [1 | globs.matches(pattern, text)],
		"path": [1 | globs.matches_path(pattern, text)],
	}
	count(holds) > 0
]
`;
  const texts = ['abc', 'a/b/c', '', 'a?c', '[a]c', '{a,b}c', 'a\\c', 'é😀', 'a\nb', 'aba', 'a!c', '^a$c', 'a.c', '*'];
  const patterns = [
    ...['*', '**', 'a*', '*c', 'a*c', 'a**c', '*b*', '*/*', 'a*/*c', '**/c', '*a*b*', 'ab*ba', '*?*', 'a?*c*', '*[a]*'],
    ...[
      '*{a,b}*',
      '{abc,x}**',
      'a\\*c*',
      '*\\**',
      '[!x]*c*',
      '*.*',
      '*^a$*',
      '*😀*',
      '*\n*',
      'abc',
      '',
      '*[a-c]*',
      '*!*',
    ],
  ];
  const star = (pattern: string, path: boolean) => {
    const parts = pattern.split(/(\*+)/).map((part) => {
      if (!part.startsWith('*')) return part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
      return path && part === '*' ? '[^/]*' : '.*';
    });
    return new RegExp(`^${parts.join('')}$`, 'su');
  };
  const expected = patterns.flatMap((pattern) =>
    texts.flatMap((text) =>
      ['path', 'text']
        .filter((kind) => pattern === text || (pattern.includes('*') && star(pattern, kind === 'path').test(text)))
        .map((kind) => JSON.stringify([pattern, text, kind])),
    ),
  );
  assert.ok(expected.length > 150, String(expected.length));
  const path = await makeDirectory(t, { 'p.rego': rego });
  for (const { name, needs, load } of [createWasmEngine(), createTopdownEngine()]) {
    const { policy } = await preparePolicy({ path, entrypoint: 'p/matched', toolchain, needs });
    const loaded = await load(policy);
    t.after(() => loaded.close());
    const [matched] = await loaded.evaluate('p/matched', policyInput({ metadata: { patterns, texts } }));
    assert.ok(Array.isArray(matched));
    assert.deepEqual(matched.map((one) => JSON.stringify(one)).toSorted(), expected.toSorted(), name);
  }
});

test('glob.match of compiled policy misses line breaks and "(", as docs/builtins.md says, and the library does not', {
  skip,
}, async (t) => {
  const rego = `package p

import data.opallama.lib.globs

matched := {
	"builtin": [text | some text in input.tools; glob.match("*shell*", null, text)],
	"library": [text | some text in input.tools; globs.matches("*shell*", text)],
	"parenthesis": [text | text := "a(b"; glob.match("*(*", null, text)],
}
`;
  const path = await makeDirectory(t, { 'p.rego': rego });
  const tools = ['a shell', 'a\nshell'];
  for (const [{ name, needs, load }, builtin] of [
    [createWasmEngine(), tools.slice(0, 1)],
    [createTopdownEngine(), tools],
  ] as const) {
    const { policy } = await preparePolicy({ path, entrypoint: 'p/matched', toolchain, needs });
    const loaded = await load(policy);
    t.after(() => loaded.close());
    const [matched] = await loaded.evaluate('p/matched', policyInput({ tools }));
    assert.deepEqual(matched, { parenthesis: name === 'topdown' ? ['a(b'] : [], builtin, library: tools }, name);
  }
});

test('docs/policy-library.md lists each module and has an example of each but globs, on which the others stand', async () => {
  const modules = await readdir(join(root, 'policies/lib'));
  const listed = tableRows(paper, 'The library for policies').map(([name]) => name?.replaceAll('`', ''));
  assert.deepEqual(listed.toSorted(), modules.toSorted());
  const shown = new Set([...blocks.keys()].map((file) => file.split('/')[0]));
  assert.deepEqual([...shown, 'globs'].toSorted(), modules.toSorted());
  assert.deepEqual(Object.keys(examples).toSorted(), [...shown].toSorted());
});
