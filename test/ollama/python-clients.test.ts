/** The Python clients of Ollama, OpenAI and Anthropic, and LangChain's, get through the sidecar what they get directly. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { withoutWhatDiffers } from '../support/ollama/compare.ts';
import { startPair } from '../support/ollama/pair.ts';

const run = promisify(execFile);

test('every endpoint, streamed and not, tools, unknown models and leaving midway: the same directly and through the sidecar', async (t) => {
  const pair = await startPair();
  t.after(() => pair.stop());
  const call = async (address: string, token: string) => {
    const { stdout } = await run(pair.parts.python, [join(import.meta.dirname, 'clients.py'), address, token], {
      timeout: 120_000,
    });
    return withoutWhatDiffers(stdout).trimEnd().split('\n');
  };

  const direct = await call(pair.ollama.url, 'unused');
  const through = await call(pair.sidecar.url, pair.sidecar.token);

  assert.equal(direct.length, 37);
  assert.equal(through.length, direct.length);
  for (const [index, line] of through.entries()) assert.equal(line, direct[index]);

  await pair.sidecar.auditWhere(() => true, direct.length);
  const outcomes = pair.sidecar.audit.map((event) => event.outcome);
  assert.equal(outcomes.filter((outcome) => outcome === 'aborted').length, 2);
  assert.equal(outcomes.filter((outcome) => outcome === 'complete').length, direct.length - 2);
});
