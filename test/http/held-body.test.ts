/** What a caller sent is held until Ollama has it, not for as long as the answer lasts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startTestSidecar } from '../support/in-process.ts';
import { startSlowUpstream } from '../support/slow-upstream.ts';

const mebibyte = 1024 * 1024;

test('a large body is given back when its answer begins, so that a long stream takes no room from others', async (t) => {
  const upstream = await startSlowUpstream();
  t.after(() => upstream.close());
  const sidecar = await startTestSidecar({
    upstream: upstream.url,
    policy: { 'authz.rego': 'package ollama.authz\n\ndefault allow := true\n' },
    limits: { body: 3 * mebibyte, bodiesTotal: 3 * mebibyte },
  });
  t.after(() => sidecar.close());
  const body = JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'x'.repeat(2 * mebibyte) }] });
  const ask = (): Promise<Response> =>
    fetch(`${sidecar.url}/api/chat`, {
      method: 'POST',
      headers: { authorization: `Bearer ${sidecar.token()}` },
      body,
    });
  const answers: Response[] = [];
  // Each stream is open while the next body comes.
  for (let i = 0; i < 4; i += 1) {
    const answer = await ask();
    assert.equal(answer.status, 200, `stream ${i}`);
    answers.push(answer);
  }
  assert.equal(upstream.open.size, 4);
  upstream.finish();
  for (const answer of answers) assert.match(await answer.text(), /"done":true/);
  const events = await sidecar.waitForEvents(4);
  assert.deepEqual(
    new Set(events.map(({ outcome, output_tokens: tokens }) => `${outcome} ${tokens}`)),
    new Set(['complete 1']),
  );
});
