/** What is read of each recorded answer, held to a table, and never dependent on where the bytes were cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTap } from '../../src/stream/tap.ts';
import type { StreamReport } from '../../src/stream/usage.ts';
import answers from './answers.json' with { type: 'json' };
import { type RecordedBody, recordedBodies } from './bodies.ts';

type Answer = Pick<RecordedBody, 'kind' | 'framing'>;

function read({ kind, framing }: Answer, chunks: readonly Buffer[]): string {
  const tap = createTap(kind, framing);
  for (const chunk of chunks) tap.observe(chunk);
  return `${kind} ${framing}: ${describe(tap.report())}`;
}

/** `input/output reason end`, as the table has it. */
function describe({ usage, finishReason, ended, failed }: Readonly<StreamReport>): string {
  const counts = typeof usage === 'object' ? `${usage.inputTokens ?? '-'}/${usage.outputTokens ?? '-'}` : usage;
  return `${counts ?? 'none'} ${finishReason ?? '-'} ${failed ? 'failed' : ended ? 'ended' : 'open'}`;
}

const bodies = recordedBodies();
const table = new Map<string, string>(Object.entries(answers));

test('every recorded answer stands in the table, and every kind is there in each of its framings', () => {
  assert.deepEqual([...table.keys()].sort(), bodies.map(({ name }) => name).sort());
  const seen = new Set([...table.values()].map((row) => row.replace(/:.*/, '')));
  assert.deepEqual([...seen].sort(), [
    'anthropic.message json',
    'anthropic.message sse',
    'ollama.embed json',
    'ollama.generation json',
    'ollama.generation ndjson',
    'ollama.progress json',
    'ollama.progress ndjson',
    'openai.chat json',
    'openai.chat sse',
    'openai.completion json',
    'openai.completion sse',
    'openai.embed json',
    'openai.response json',
    'openai.response sse',
  ]);
});

for (const recorded of bodies) {
  const { name, framing, body } = recorded;
  const expected = table.get(name);

  test(`${name}: ${expected}`, () => {
    assert.equal(read(recorded, [body]), expected);
    if (body.length > 16_384) return;
    // A body that is one JSON text is only put together; a few cuts say it all.
    const step = framing === 'json' ? Math.ceil(body.length / 40) : 1;
    for (let cut = 1; cut < body.length; cut += step)
      assert.equal(read(recorded, [body.subarray(0, cut), body.subarray(cut)]), expected, `cut at ${cut}`);
    const bytes = Array.from(body, (_, at) => body.subarray(at, at + 1));
    assert.equal(read(recorded, bytes), expected, 'byte by byte');
  });
}

for (const recorded of bodies.filter(({ framing }) => framing !== 'json')) {
  const expected = table.get(recorded.name);

  test(`${recorded.name}: line ends of the other kind and a missing last one change nothing`, () => {
    const body = Buffer.from(recorded.body.toString().replaceAll('\n', '\r\n'));
    const bare = Buffer.from(recorded.body.toString().trimEnd());
    for (let cut = 0; cut < body.length; cut += 7) {
      assert.equal(read(recorded, [body.subarray(0, cut), body.subarray(cut)]), expected);
      assert.equal(read(recorded, [bare.subarray(0, cut), bare.subarray(cut)]), expected);
    }
  });

  test(`${recorded.name}: cut off before the frame that ends it, it has not ended`, () => {
    const text = recorded.body.toString();
    const frames = text.split(/(?<=\n\n)|(?<=\}\n)(?=\{)/);
    for (let count = 0; count < frames.length; count += 1) {
      const row = read(recorded, [Buffer.from(frames.slice(0, count).join(''))]);
      assert.match(row, / open$/, `${count} of ${frames.length} frames`);
      // A zero that stands in every chunk is no count.
      assert.doesNotMatch(row, / 0\/0 /, `${count} of ${frames.length} frames`);
    }
  });
}
