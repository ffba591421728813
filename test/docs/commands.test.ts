/** Every command in the papers: that a test runs it, or a register says why none can; and that there is such a command. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { test } from 'node:test';
import { allShellBlocks, commandLines, hiddenCommands } from '../papers/blocks.ts';
import { opallamaCalls, parseCall, unknownIn } from '../papers/calls.ts';
import { byHand, listed, runnerOf, runners } from '../papers/register.ts';
import { listPapers, readPaper, root } from './papers.ts';

const papers = await listPapers();
const blocks = await allShellBlocks();
const { scripts }: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
);
const ci = readFileSync(join(root, '.ci/run'), 'utf8');
const isStage = (script: string) => new RegExp(`^stage .*\\bnpm (?:run (?:-s )?)?${script}(?![\\w:-])`, 'm').test(ci);

/** Commands in running text and in tables. */
const inline = papers.flatMap((paper) =>
  [
    ...readPaper(paper)
      .replace(/^```.*?^```$/gms, '')
      .matchAll(/`([^`]+)`/g),
  ].map(([, code = '']) => ({
    paper,
    code: code.replace(/\s+/g, ' '),
  })),
);

test('commands stand in blocks marked sh and nowhere else, so that none is overlooked', () => {
  assert.ok(blocks.length > 50);
  assert.deepEqual(
    papers.flatMap((paper) => hiddenCommands(paper).map((line) => `${paper}: ${line}`)),
    [],
  );
});

test('every command in a block is run by a test that .ci/run runs, or is listed with what is tried instead', () => {
  const loose = blocks.filter(
    (block) =>
      runnerOf(block) === undefined &&
      !commandLines(block.text).every((line) => listed.some((each) => isOf(each, block.paper, line))),
  );
  assert.deepEqual(
    loose.map(({ paper, first }) => `${paper}: ${first}`),
    [],
  );
  for (const runner of runners) {
    const { test: file } = runner;
    assert.ok(
      blocks.some((block) => runnerOf(block) === runner),
      `${file} has nothing to run: ${runner.paper}`,
    );
    assert.ok(existsSync(join(root, file)), file);
    const source = readFileSync(join(root, file), 'utf8');
    const its = new Set(blocks.filter((block) => runnerOf(block) === runner).map(({ paper }) => paper));
    // A test may take all papers of a folder.
    for (const paper of its)
      assert.ok(
        [paper, `'${paper.split('/')[0]}'`].some((each) => source.includes(each)),
        paper,
      );
    const inScripts = Object.entries(scripts).filter(([name, script]) => /^test/.test(name) && runsFile(script, file));
    assert.ok(
      inScripts.some(([name]) => isStage(name)),
      `no stage of .ci/run has ${file}`,
    );
  }
});

function runsFile(script: string, file: string): boolean {
  const patterns = script.split(/[\s"]+/).filter((word) => word.startsWith('test/') && word.endsWith('.test.ts'));
  return patterns.some((pattern) => file === pattern || matchesGlob(file, pattern));
}

function isOf(each: (typeof listed)[number], paper: string, line: string): boolean {
  return each.paper === paper && line.startsWith(each.line);
}

test('what is listed as not run is still in its paper, and what is tried instead is there', () => {
  for (const each of listed) {
    const lines = blocks.filter(({ paper }) => paper === each.paper).flatMap(({ text }) => commandLines(text));
    assert.equal(lines.filter((line) => isOf(each, each.paper, line)).length, 1, `${each.paper}: ${each.line}`);
    assert.ok(existsSync(join(root, each.instead)), each.instead);
  }
});

test('every call of opallama in a block is one that the command line takes', async () => {
  const calls = blocks.flatMap((block) =>
    commandLines(block.text).flatMap((line) => opallamaCalls(line).map((words) => ({ block, words }))),
  );
  assert.ok(calls.length > 100);
  for (const { block, words } of calls)
    await assert.doesNotReject(parseCall(words), `${block.paper}: opallama ${words.join(' ')}`);
});

test('every command of opallama in running text is there with its options', async () => {
  const calls = inline.flatMap(({ paper, code }) => opallamaCalls(code).map((words) => ({ paper, words })));
  assert.ok(calls.length > 60);
  for (const { paper, words } of calls) {
    if (words.length === 0 || words[0] === '<command>') continue;
    assert.deepEqual(await unknownIn(words), [], `${paper}: opallama ${words.join(' ')}`);
  }
});

test('every script that a paper names is one of the package, and .ci/run runs it unless it is for the hand', () => {
  const texts = [...inline, ...blocks.map(({ paper, text }) => ({ paper, code: text }))];
  const named = texts.flatMap(({ paper, code }) =>
    [...code.matchAll(/\bnpm (?:run )?(?:-s )?([a-z][a-z:-]*)(?: -- (\S.*))?/g)].map(
      ([, script = '', options = '']) => ({
        paper,
        script,
        options,
      }),
    ),
  );
  const names = new Set(
    named.map(({ script }) => script).filter((script) => !['ci', 'pack', 'install'].includes(script)),
  );
  assert.ok(names.size > 20);
  for (const name of names) {
    assert.ok(Object.hasOwn(scripts, name), `there is no script ${name}`);
    assert.notEqual(
      isStage(name),
      Object.hasOwn(byHand, name),
      `${name}: a stage of .ci/run, or else a reason in byHand of register.ts`,
    );
  }
  for (const name of Object.keys(byHand)) assert.ok(names.has(name), `byHand: no paper names ${name}`);
});
