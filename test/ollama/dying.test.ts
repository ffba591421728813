/** Ollama or its runner is killed in the middle of an answer, or is not there at all. */
import assert from 'node:assert/strict';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Pair, startPair } from '../support/ollama/pair.ts';
import { parseResponses, sendRaw } from '../support/raw-http.ts';

const messages = [{ role: 'user', content: 'hi' }];
const native = { path: '/api/chat', body: { model: 'slow-loop', messages } };
const completion = { path: '/v1/chat/completions', body: { model: 'slow-loop', messages, stream: true } };

describe('Ollama is killed in the middle of a stream', () => {
  it('/api: the last line says so, the chunks have no end, and the record says upstream_died', async (t) => {
    const pair = await startWarmPair(t);
    const { answer, event } = await askAndMeanwhile(pair, native, () => pair.ollama.kill());
    assert.equal(answer.complete, false);
    const last = answer.body.toString().trimEnd().split('\n').at(-1) ?? '';
    // A blank line stands before it, in case an event was cut.
    assert.match(JSON.parse(last).error, /Ollama stopped/);
    assert.deepEqual([event.status, event.error, event.outcome], [200, 'upstream_died', 'incomplete']);
    await assertNoSocketIsLeft(pair);
  });

  it('/v1: the last event says so, there is no [DONE], and the record says upstream_died', async (t) => {
    const pair = await startWarmPair(t);
    const { answer, event } = await askAndMeanwhile(pair, completion, () => pair.ollama.kill());
    assert.equal(answer.complete, false);
    const text = answer.body.toString();
    const last = text.trimEnd().split('\n\n').at(-1) ?? '';
    // A blank line stands before it, in case an event was cut.
    assert.match(JSON.parse(last.replace(/^\ndata: /, '')).error.message, /Ollama stopped/);
    assert.doesNotMatch(text, /\[DONE\]/);
    assert.deepEqual([event.status, event.error, event.outcome], [200, 'upstream_died', 'incomplete']);
    await assertNoSocketIsLeft(pair);
  });
});

describe('its runner is killed in the middle of a stream', () => {
  it('/api: Ollama’s own last line gets through, and the record does not say complete', async (t) => {
    const pair = await startWarmPair(t);
    const { answer, event } = await askAndMeanwhile(pair, native, () => killRunner(pair));
    const last = answer.body.toString().trimEnd().split('\n').at(-1) ?? '';
    assert.equal(typeof JSON.parse(last).error, 'string');
    assert.equal(event.status, 200);
    assert.ok(event.outcome === 'error' || event.outcome === 'incomplete', event.outcome);
  });

  it('/v1: Ollama hides it, the bytes pass as they came, and the record says incomplete', async (t) => {
    const pair = await startWarmPair(t);
    const { answer, event } = await askAndMeanwhile(pair, completion, () => killRunner(pair));
    assert.doesNotMatch(answer.body.toString(), /\[DONE\]/);
    assert.match(answer.body.toString(), /"model":""/);
    assert.deepEqual([event.status, event.outcome, event.output_tokens], [200, 'incomplete', undefined]);
  });

  for (const call of [
    { path: '/v1/completions', body: { model: 'slow-loop', prompt: 'hi', stream: true } },
    { path: '/v1/responses', body: { model: 'slow-loop', input: 'hi', stream: true } },
    { path: '/v1/messages', body: { model: 'slow-loop', messages, stream: true, max_tokens: 9999 } },
  ]) {
    it(`${call.path}: the stream ends as if all were well, and the record says incomplete all the same`, async (t) => {
      const pair = await startWarmPair(t);
      const { answer, event } = await askAndMeanwhile(pair, call, () => killRunner(pair));
      assert.equal(answer.complete, true);
      assert.doesNotMatch(answer.body.toString(), /"error":[^n]/);
      assert.deepEqual([event.status, event.outcome, event.usage], [200, 'incomplete', 'unknown']);
    });
  }
});

it('Ollama is not running: 502 in both dialects, with its address and what to check', async (t) => {
  const pair = await startPair();
  t.after(() => pair.stop());
  await pair.ollama.kill();
  const expected = `Cannot reach Ollama at ${pair.ollama.url}. Is it running?`;
  for (const call of [native, completion]) {
    const response = await fetch(pair.sidecar.url + call.path, {
      method: 'POST',
      headers: { authorization: `Bearer ${pair.sidecar.token}` },
      body: JSON.stringify(call.body),
    });
    assert.equal(response.status, 502);
    assert.equal(response.headers.get('x-opallama-reason'), 'upstream_unreachable');
    const { error }: { error: string | { message: string } } = JSON.parse(await response.text());
    assert.equal(typeof error === 'string' ? error : error.message, expected);
    assert.equal(typeof error, call === native ? 'string' : 'object');
    const event = await pair.sidecar.auditOf(response.headers.get('x-request-id') ?? '');
    assert.deepEqual([event.status, event.error, event.outcome], [502, 'upstream_unreachable', 'error']);
  }
});

/** The model is loaded, so the first frame comes soon. */
async function startWarmPair(t: TestContext): Promise<Pair> {
  const pair = await startPair();
  t.after(() => pair.stop());
  const warm = await fetch(`${pair.ollama.url}/api/generate`, {
    method: 'POST',
    body: JSON.stringify({ model: 'slow-loop', prompt: 'hi', stream: false, options: { num_predict: 1 } }),
  });
  assert.equal(warm.status, 200);
  await warm.body?.cancel();
  return pair;
}

/** Sends a call, does something once the answer has begun, and waits for the end of the answer and its record. */
async function askAndMeanwhile(
  pair: Pair,
  call: { readonly path: string; readonly body: unknown },
  act: () => Promise<void>,
) {
  const body = JSON.stringify(call.body);
  const head = [
    `POST ${call.path} HTTP/1.1`,
    'Host: 127.0.0.1',
    `Authorization: Bearer ${pair.sidecar.token}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
  ].join('\r\n');
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const exchange = sendRaw(pair.sidecar.port, Buffer.from(`${head}\r\n\r\n${body}`), {
    methods: ['POST'],
    timeoutMs: 120_000,
    onData: (text) => text.includes('tick') && begin(),
  });
  await Promise.race([begun, exchange]);
  await act();
  const [answer] = parseResponses((await exchange).bytes, ['POST']);
  assert.ok(answer !== undefined, 'no answer');
  assert.match(answer.body.toString(), /tick/, 'it was killed before the first frame');
  const event = await pair.sidecar.auditWhere((candidate) => candidate.model === 'slow-loop');
  assert.equal(pair.sidecar.audit.length, 1);
  return { answer, event };
}

async function killRunner(pair: Pair): Promise<void> {
  const runners = await pair.ollama.runners();
  assert.equal(runners.length, 1);
  for (const runner of runners) process.kill(runner, 'SIGKILL');
}

/** The sidecar's sockets are its two listeners again; 5 s is how long it keeps an idle connection. */
async function assertNoSocketIsLeft(pair: Pair): Promise<void> {
  let left: readonly string[] = [];
  for (let attempt = 0; attempt < 300; attempt++) {
    left = await connectionsOf(pair.sidecar.pid);
    if (left.length === 0) return;
    await sleep(100);
  }
  assert.fail(`connections are left: ${left.join(', ')}`);
}

/** TCP connections of a process that are not listeners (proc_pid_net(5): state 0A listens). */
async function connectionsOf(pid: number): Promise<readonly string[]> {
  const table = await readFile(`/proc/${pid}/net/tcp`, 'utf8');
  const connected = new Map(
    table
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] !== '0A')
      .map((fields): [string, string] => [`socket:[${fields[9]}]`, `${fields[1]} to ${fields[2]}`]),
  );
  const found: string[] = [];
  for (const descriptor of await readdir(`/proc/${pid}/fd`)) {
    const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
    const connection = connected.get(target);
    if (connection !== undefined) found.push(connection);
  }
  return found;
}
