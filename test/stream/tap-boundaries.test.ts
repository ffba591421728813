/** Results never depend on where the bytes were cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTap } from '../../src/stream/tap.ts';
import type { StreamReport } from '../../src/stream/usage.ts';
import { type RecordedBody, recordedBodies } from './bodies.ts';

function reportOf({ api, framing }: Pick<RecordedBody, 'api' | 'framing'>, chunks: readonly Buffer[]): StreamReport {
  const tap = createTap(api, framing);
  for (const chunk of chunks) tap.observe(chunk);
  return { ...tap.report() };
}

/** What the answer says, read the plain way: every frame parsed, the last count taken. */
function readPlainly({ api, framing, body }: RecordedBody): StreamReport {
  const report: StreamReport = { usage: undefined, finishReason: undefined, ended: false, failed: false };
  const texts =
    framing === 'json'
      ? [body.toString()]
      : body
          .toString()
          .split('\n')
          .map((line) => line.replace(/^data: /, ''));
  for (const text of texts.filter((line) => line !== '')) {
    if (text === '[DONE]') {
      report.ended = true;
      continue;
    }
    const frame = JSON.parse(text);
    if (frame.error !== undefined) report.failed = true;
    if (api === 'ollama' && frame.done === true) {
      report.ended = true;
      report.finishReason = frame.done_reason;
      report.usage = { inputTokens: frame.prompt_eval_count ?? 0, outputTokens: frame.eval_count ?? 0 };
    }
    if (api === 'openai') {
      report.finishReason = frame.choices?.[0]?.finish_reason ?? report.finishReason;
      if (framing === 'json' && frame.choices) report.ended = true;
      if (frame.usage)
        report.usage = { inputTokens: frame.usage.prompt_tokens, outputTokens: frame.usage.completion_tokens };
    }
  }
  return report;
}

const bodies = recordedBodies().filter(({ body }) => body.length <= 4096);

test('there are recorded answers of each kind', () => {
  for (const [api, framing, least] of [
    ['ollama', 'ndjson', 10],
    ['ollama', 'json', 10],
    ['openai', 'sse', 4],
    ['openai', 'json', 10],
  ] as const) {
    assert.ok(
      bodies.filter((body) => body.api === api && body.framing === framing).length >= least,
      `${api} ${framing}`,
    );
  }
});

for (const recorded of bodies) {
  const { name, framing, body } = recorded;
  const expected = readPlainly(recorded);

  test(`${name}: what is read of it is what it says`, () => {
    assert.deepEqual(reportOf(recorded, [body]), expected);
  });

  test(`${name}: the same is read wherever it is cut in two, and byte by byte`, () => {
    // A body that is one JSON text is only put together; a few cuts say it all.
    const step = framing === 'json' ? Math.ceil(body.length / 40) : 1;
    for (let cut = 1; cut < body.length; cut += step) {
      const report = reportOf(recorded, [body.subarray(0, cut), body.subarray(cut)]);
      assert.deepEqual(report, expected, `cut at ${cut}`);
    }
    assert.deepEqual(
      reportOf(
        recorded,
        Array.from(body, (_, at) => body.subarray(at, at + 1)),
      ),
      expected,
    );
  });
}

for (const recorded of bodies.filter(({ framing }) => framing !== 'json')) {
  test(`${recorded.name}: line ends of the other kind and a missing last one change nothing`, () => {
    const expected = readPlainly(recorded);
    const body = Buffer.from(recorded.body.toString().replaceAll('\n', '\r\n'));
    const bare = Buffer.from(recorded.body.toString().trimEnd());
    for (let cut = 0; cut < body.length; cut += 7) {
      assert.deepEqual(reportOf(recorded, [body.subarray(0, cut), body.subarray(cut)]), expected);
      assert.deepEqual(reportOf(recorded, [bare.subarray(0, cut), bare.subarray(cut)]), expected);
    }
  });
}
