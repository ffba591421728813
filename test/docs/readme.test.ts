/** What the papers tell a newcomer to write, given to the project's own parts; and where their links lead. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import { after, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { createWasmEngine } from '../../src/decision/engines/wasm.ts';
import { narrow } from '../../src/decision/narrow.ts';
import { preparePolicy } from '../../src/policy/prepare.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { modelRef, policyInput } from '../decision/input.ts';
import { listPapers, markedBlocks, readPaper, root } from './papers.ts';

const readme = readPaper('README.md');
const toolchain = createToolchain({ path: process.env['PATH'] });
after(() => toolchain.close());
const skip =
  toolchain.kind === 'none' && 'neither opa/build/opa.wasm nor an opa on the PATH is here to compile the policy with';

/** The shipped policies with the README's own rule in them. */
async function writeOwnRule(t: { after(done: () => Promise<void>): void }, edit = (text: string) => text) {
  const copy = await mkdtemp(join(tmpdir(), 'opallama-readme-'));
  t.after(() => rm(copy, { recursive: true, maxRetries: 10 }));
  await cp(join(root, 'policies'), join(copy, 'policies'), { recursive: true });
  const blocks = markedBlocks(readme, 'own-rule');
  assert.deepEqual([...blocks.keys()], ['policies/ollama/authz/tools.rego', 'policies/ollama/authz/tools_test.rego']);
  for (const [file, text] of blocks) await writeFile(join(copy, file), edit(text));
  return join(copy, 'policies');
}

test('the first own rule loads beside the shipped policy, its tests pass, and it denies what it says', {
  skip,
}, async (t) => {
  const entrypoint = 'ollama/authz';
  const shipped = await preparePolicy({ path: join(root, 'policies'), entrypoint, toolchain });
  const prepared = await preparePolicy({ path: await writeOwnRule(t), entrypoint, toolchain });
  assert.equal(prepared.testsPassed, shipped.testsPassed + 3);
  assert.ok(prepared.policy.codes.has('tools_not_allowed'));

  const loaded = await createWasmEngine().load(prepared.policy);
  const decide = async (hasTools: boolean) => {
    const input = policyInput({ model_refs: [modelRef('local')], has_tools: hasTools });
    const results = await loaded.evaluate(entrypoint, input);
    return narrow(results, { shape: loaded.shape(entrypoint), beyondDenyList: undefined });
  };
  const message = 'Requests with tools are not allowed here.';
  assert.deepEqual((await decide(true)).reasons, [{ code: 'tools_not_allowed', message }]);
  assert.equal((await decide(false)).allowed, true);
});

test('a test of the own rule that fails keeps the policy from being loaded, with the place that the README shows', {
  skip,
}, async (t) => {
  const path = await writeOwnRule(t, (text) => text.replace('"has_tools": false}', '"has_tools": true}'));
  await assert.rejects(preparePolicy({ path, entrypoint: 'ollama/authz', toolchain }), (error) => {
    assert.ok(error instanceof Error);
    assert.ok(readme.includes(error.message), error.message);
    return true;
  });
});

test('the own rule is formatted, so that npm run rego passes', { skip }, async (t) => {
  await writeOwnRule(t);
  const modules = Object.fromEntries(markedBlocks(readme, 'own-rule'));
  assert.deepEqual((await toolchain.format({ modules })).changed, []);
});

test('the configuration of the README is one', () => {
  const [yaml] = markedBlocks(readme, 'config').values();
  assert.ok(yaml !== undefined);
  const config = loadConfig({
    file: undefined,
    cwd: root,
    env: { OPALLAMA_JWT_SECRET: 'a'.repeat(64) },
    flags: [],
    readFile: (path) => {
      assert.equal(path, join(root, 'opallama.yaml'));
      return Buffer.from(yaml);
    },
  });
  assert.equal(config.identity.jwt.length, 1);
  assert.equal(config.identity.anonymous, undefined);
  assert.equal(config.policies[0]?.path, join(root, 'policies'));
});

/** The anchor of a heading, as GitHub makes it. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\s-]/g, '')
    .trim()
    .replaceAll(' ', '-');
}

test('no relative link in any paper is dead', async () => {
  const papers = await listPapers();
  assert.ok(papers.includes('README.md') && papers.includes('docs/decisions/README.md'));
  const dead: string[] = [];
  let links = 0;
  for (const paper of papers) {
    const text = readPaper(paper).replace(/^```.*?^```$/gms, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      links += 1;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? paper : posix.join(posix.dirname(paper), path);
      const headings = () => [...readPaper(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading));
      if (!existsSync(join(root, file)) || (anchor !== undefined && !headings().includes(anchor)))
        dead.push(`${paper}: ${target}`);
    }
  }
  assert.ok(links > 20);
  assert.deepEqual(dead, []);
});

test('every file and folder of the project that a paper names is there', async () => {
  const missing: string[] = [];
  for (const paper of ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...(await listPapers())]) {
    if (!/^(?:[A-Z]+\.md$|docs\/)/.test(paper)) continue;
    const text = readPaper(paper).replace(/^```.*?^```$/gms, '');
    for (const [, path = ''] of text.matchAll(/`((?:src|test|policies|opa|docs|scripts|bench)\/[\w./-]*)`/g)) {
      // Made by commands: the module, and what the README has its reader write.
      if (path === 'opa/build/opa.wasm' || path.startsWith('policies/ollama/authz/tools')) continue;
      if (path === 'src/obligations/') continue;
      if (!existsSync(join(root, path))) missing.push(`${paper}: ${path}`);
    }
  }
  assert.deepEqual(missing, []);
});

test('the README leads to every paper below docs', async () => {
  const papers = (await listPapers()).filter((paper) => /^docs\/[\w-]+\.md$/.test(paper));
  assert.ok(papers.length > 15);
  assert.deepEqual(
    papers.filter((paper) => !readme.includes(`(${paper})`)),
    [],
  );
});

test('every decision stands in the list of decisions', () => {
  const pages = readdirSync(join(root, 'docs/decisions')).filter((file) => /^\d{3}-.*\.md$/.test(file));
  const list = readPaper('docs/decisions/README.md');
  assert.ok(pages.length > 8);
  assert.deepEqual(
    pages.filter((page) => !list.includes(`(${page})`)),
    [],
  );
});

test('the scripts that the papers name are scripts of the package', async () => {
  const { default: manifest } = await import(join(root, 'package.json'), { with: { type: 'json' } });
  const named = ['README.md', 'CONTRIBUTING.md', 'docs/policies.md', 'docs/configuration.md'].flatMap((paper) =>
    [...readPaper(paper).matchAll(/\bnpm run (?:-s )?([a-z:-]+)/g)].map(([, script = '']) => script),
  );
  assert.ok(named.length > 10);
  assert.deepEqual(
    named.filter((script) => !Object.hasOwn(manifest.scripts, script)),
    [],
  );
});
