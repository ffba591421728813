/** docs/policies.md is followed as a newcomer would: every command in it, in its order. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { opallama } from '../cli/command.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { wordsOf } from '../support/commands-of.ts';
import { run } from '../support/running.ts';
import { readPaper, root } from './papers.ts';

const home = mkdtempSync(join(tmpdir(), 'opallama-tutorial-'));
after(() => rmSync(home, { recursive: true, maxRetries: 10 }));

type Step =
  | { readonly kind: 'file'; readonly name: string; readonly text: string }
  | { readonly kind: 'output'; readonly text: string }
  | { readonly kind: 'command'; readonly line: string };

function readSteps(paper: string): readonly Step[] {
  const blocks = paper.matchAll(/^(?:<!-- test: (\w+) ?(.*?) ?-->\n)?```(\w+)\n(.*?)^```$/gms);
  return [...blocks].flatMap(([, mark, name = '', language, text = '']): readonly Step[] => {
    if (mark === 'file') return [{ kind: 'file', name, text }];
    if (mark === 'output') return [{ kind: 'output', text }];
    if (language !== 'sh') return [];
    return text
      .trimEnd()
      .split('\n')
      .map((line) => ({ kind: 'command', line }));
  });
}

/** No Ollama is looked for: the practice upstream stands in for it, and says so itself. */
const noOllama = { OLLAMA_HOST: '127.0.0.1:9', OLLAMA_BASE_URL: undefined };

async function runQuickstart(args: readonly string[], cwd: string): Promise<void> {
  const running = run(process.execPath, [join(root, 'bin/opallama.js'), ...args], { cwd, env: noOllama });
  try {
    await running.waitFor(/Ctrl\+C stops it/);
  } finally {
    await running.stop();
  }
}

test('every command of docs/policies.md runs, in its order, on the files that it has its reader write', {
  skip: noModule,
}, async () => {
  const steps = readSteps(readPaper('docs/policies.md'));
  assert.ok(steps.filter(({ kind }) => kind === 'command').length > 12);
  let printed = '';
  for (const step of steps) {
    if (step.kind === 'file') {
      writeFileSync(join(home, step.name), step.text);
    } else if (step.kind === 'output') {
      const lines = new Set(printed.split('\n'));
      for (const line of step.text.trimEnd().split('\n')) assert.ok(lines.has(line), `${line}\n---\n${printed}`);
    } else {
      const [command, ...words] = wordsOf(step.line);
      // In a checkout; what it names lies there too.
      if (command === 'npm') {
        assert.deepEqual(words.slice(0, 2), ['start', '--'], step.line);
        await runQuickstart(['quickstart', ...words.slice(2)], root);
      } else if (words[0] === 'quickstart') {
        await runQuickstart(words, home);
      } else {
        assert.equal(command, 'opallama', step.line);
        const { code, stdout, stderr } = await opallama(words, { cwd: home });
        assert.equal(code, 0, `${step.line}\n${stdout}\n${stderr}`);
        printed = stdout;
      }
    }
  }
});
