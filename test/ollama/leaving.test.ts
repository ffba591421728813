/** A client that leaves in the middle stops the generation: the runner falls idle and serves the next request at once. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Pair, startPair } from '../support/ollama/pair.ts';
import { cpuTime } from '../support/ollama/server.ts';

const messages = [{ role: 'user', content: 'hi' }];

/** All would go on for minutes. */
const calls = [
  { streamed: true, what: 'a streamed chat', path: '/api/chat', body: { model: 'slow-loop', messages } },
  {
    streamed: false,
    what: 'a chat that is not streamed',
    path: '/api/chat',
    body: { model: 'slow-loop', messages, stream: false },
  },
  { streamed: true, what: 'a streamed generation', path: '/api/generate', body: { model: 'slow-loop', prompt: 'hi' } },
  {
    streamed: true,
    what: 'a streamed completion',
    path: '/v1/chat/completions',
    body: { model: 'slow-loop', messages, stream: true },
  },
  {
    streamed: false,
    what: 'a completion that is not streamed',
    path: '/v1/chat/completions',
    body: { model: 'slow-loop', messages },
  },
];

describe('a client that leaves', () => {
  let pair: Pair;
  let runner: number;
  before(async () => {
    pair = await startPair();
    await ask({
      path: '/api/generate',
      body: { model: 'slow-loop', prompt: 'hi', stream: false, options: { num_predict: 1 } },
    });
    const [pid] = await pair.ollama.runners();
    assert.ok(pid !== undefined, 'no runner');
    runner = pid;
  });
  after(() => pair.stop());

  for (const call of calls) {
    it(`${call.what} stops when its client leaves`, async () => {
      const leave = new AbortController();
      const left = ask(call, leave.signal).then(
        () => assert.fail('the answer came to an end'),
        (error: Error) => assert.equal(error.name, 'AbortError'),
      );
      await untilBusy(runner);

      leave.abort();
      await left;
      await untilIdle(runner);

      const event = await pair.sidecar.auditWhere(
        (candidate) =>
          candidate.outcome === 'aborted' && candidate.path === call.path && candidate.stream === call.streamed,
      );
      assert.deepEqual(
        [event.model, event.output_tokens, event.error],
        ['slow-loop', undefined, 'client_closed_request'],
      );

      const began = performance.now();
      const next = await ask({
        path: '/api/generate',
        body: { model: 'slow-loop', prompt: 'hi', stream: false, options: { num_predict: 1 } },
      });
      assert.match(next, /"done":true/);
      assert.ok(performance.now() - began < 30_000, 'the next request had to wait');
    });
  }

  async function ask(
    call: { readonly path: string; readonly body: unknown },
    signal = AbortSignal.timeout(30_000),
  ): Promise<string> {
    const response = await fetch(pair.sidecar.url + call.path, {
      method: 'POST',
      headers: { authorization: `Bearer ${pair.sidecar.token}` },
      body: JSON.stringify(call.body),
      signal,
    });
    return await response.text();
  }
});

/** A token takes some 70 ms, and the machine may be busy; by itself it would go on for minutes. */
async function untilIdle(runner: number): Promise<void> {
  const until = performance.now() + 30_000;
  while ((await busyShare(runner)) > 0.1) assert.ok(performance.now() < until, 'the runner went on');
}

async function untilBusy(runner: number): Promise<void> {
  const until = performance.now() + 30_000;
  while ((await busyShare(runner)) <= 0.2)
    assert.ok(performance.now() < until, 'the runner was not busy while it generated');
}

/** How much of a processor a process used in the next half second, 0 to 1. */
async function busyShare(pid: number): Promise<number> {
  const [before, began] = [cpuTime(pid), performance.now()];
  await sleep(500);
  const after = cpuTime(pid);
  assert.ok(before !== undefined && after !== undefined, 'the runner is gone');
  return (after - before) / (performance.now() - began);
}
