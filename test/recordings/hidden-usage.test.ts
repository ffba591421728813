/** What the sidecar asks for on a caller's behalf, the caller never sees. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startSidecar } from '../support/ollama/sidecar.ts';
import { headerOf, parseResponses, sendRaw } from '../support/raw-http.ts';
import { readRecording } from '../support/recordings.ts';
import { startReplayUpstream } from '../support/replay-upstream.ts';

test('a streamed completion without include_usage is the recorded one less its usage event, and its tokens are counted', async (t) => {
  const upstream = await startReplayUpstream();
  t.after(() => upstream.close());
  const sidecar = await startSidecar({ upstream: upstream.url, anonymous: true });
  t.after(() => sidecar.stop());
  const asked = readRecording('v1-chat-stream-usage');
  const notAsked = readRecording('v1-chat-stream');
  upstream.answerWith(asked);

  const { responses } = await sendRaw(sidecar.port, notAsked.request, { methods: notAsked.methods });

  const body = parseResponses(asked.response, asked.methods)[0]?.body.toString() ?? '';
  const events = body.split(/(?<=\n\n)/);
  const usageEvents = events.filter((event) => event.includes('"choices":[]') && event.includes('"usage":{'));
  assert.equal(usageEvents.length, 1, 'the recording holds one event to hide');
  const answer = responses[0];
  assert.ok(answer !== undefined);
  assert.equal(answer.body.toString(), events.filter((event) => !usageEvents.includes(event)).join(''));

  const { usage } = JSON.parse((usageEvents[0] ?? '').replace(/^data: /, ''));
  const event = await sidecar.auditOf(headerOf(answer, 'x-request-id') ?? '');
  assert.deepEqual([event.input_tokens, event.output_tokens], [usage.prompt_tokens, usage.completion_tokens]);
  assert.equal(event.outcome, 'complete');
});
