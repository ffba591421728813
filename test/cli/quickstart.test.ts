import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { portOf } from '../support/port-of.ts';
import { run } from '../support/running.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What a person does with the two requests that are printed: paste them, the token's line first. */
async function paste(banner: string, heading: string): Promise<string> {
  const token = /^ {2}(TOKEN=\S+)$/m.exec(banner)?.[1];
  const command = new RegExp(`^${heading}.*\\n\\n((?: {2}.*\\n)+)`, 'm').exec(banner)?.[1];
  assert.ok(token !== undefined && command !== undefined, banner);
  const { stdout } = await promisify(execFile)('sh', ['-c', `${token}\n${command}`], { timeout: 60_000 });
  return stdout;
}

function quickstart(t: TestContext, ollamaHost: string) {
  const running = run('npm', ['start'], { cwd: root, env: { OLLAMA_HOST: ollamaHost, OLLAMA_BASE_URL: undefined } });
  t.after(() => running.stop());
  return running;
}

test('npm start prints an allow that streams and a denial that names its rule', async (t) => {
  const running = quickstart(t, '127.0.0.1:9');
  await running.waitFor(/Ctrl\+C stops it/);
  assert.match(running.stderr(), /practice upstream/);

  const answer = await paste(running.stderr(), 'Allowed');
  const frames = answer
    .trim()
    .split('\n')
    .map((line): Record<string, unknown> => JSON.parse(line));
  assert.ok(frames.length > 3);
  const last = frames.at(-1);
  assert.equal(last?.['done'], true);
  const allowed: Record<string, unknown> = JSON.parse(await running.waitForLine(/"policy_result":"allow"/));
  assert.equal(allowed['output_tokens'], last['eval_count']);
  assert.equal(allowed['input_tokens'], last['prompt_eval_count']);
  assert.equal(allowed['outcome'], 'complete');

  assert.match(await paste(running.stderr(), 'Denied'), /Denied by policy: .*cloud_model_not_allowed/);
  const denied: Record<string, unknown> = JSON.parse(await running.waitForLine(/"policy_result":"deny"/));
  assert.deepEqual(denied['reasons'], ['cloud_model_not_allowed']);
});

test('an Ollama that answers is used, and the practice upstream is not', async (t) => {
  const asked: string[] = [];
  // A stand-in that has one model.
  const ollama = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.setHeader('content-type', 'application/json');
    response.end(request.url === '/api/tags' ? '{"models":[{"name":"mine:latest"}]}' : '{"done":true,"eval_count":5}');
  });
  await new Promise<void>((resolve) => ollama.listen(0, '127.0.0.1', resolve));
  t.after(() => ollama.close());
  const port = portOf(ollama);

  const running = quickstart(t, `127.0.0.1:${port}`);
  await running.waitFor(/Ctrl\+C stops it/);
  assert.doesNotMatch(running.stderr(), /practice/);
  assert.match(await paste(running.stderr(), 'Allowed'), /"eval_count":5/);
  assert.ok(asked.includes('/api/chat'));
});
