/** The tap holds no more than a line, and a line without end costs only its own counts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTap } from '../../src/stream/tap.ts';

const megabyte = 1024 * 1024;
const end = '{"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":2}\n';
const counted = { usage: { inputTokens: 1, outputTokens: 2 }, finishReason: 'stop', ended: true, failed: false };

function* cutInto(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test('a final frame of many megabytes is read: context makes it so', () => {
  const context = Array.from({ length: 1_500_000 }, (_, i) => i);
  const line = Buffer.from(`${JSON.stringify({ ...JSON.parse(end), context })}\n`);
  assert.ok(line.length > 10 * megabyte);
  for (const size of [line.length, 65_536]) {
    const tap = createTap('ollama.generation', 'ndjson');
    for (const chunk of cutInto(line, size)) tap.observe(chunk);
    assert.deepEqual({ ...tap.report() }, counted);
  }
});

/** What Ollama answers to a prompt of 20 MiB: the ids of the whole prompt, in one line. */
function longAnswer(megabytes: number, text = 'The quick'): Buffer {
  const head = `{"model":"tiny","response":${JSON.stringify(text)},"done":true,"done_reason":"stop","context":[1`;
  return Buffer.concat([
    Buffer.from(head),
    Buffer.alloc(megabytes * megabyte, ',128'),
    Buffer.from('],"total_duration":5,"prompt_eval_count":1,"eval_count":2}\n'),
  ]);
}

test('a line beyond the bound is read by its two ends, as are the lines behind it', () => {
  for (const framing of ['ndjson', 'json'] as const) {
    const line = longAnswer(84);
    const tap = createTap('ollama.generation', framing);
    const before = process.memoryUsage().arrayBuffers;
    for (const chunk of cutInto(line, 65_536)) tap.observe(chunk);
    assert.ok(process.memoryUsage().arrayBuffers - before < 70 * megabyte);
    assert.deepEqual({ ...tap.report() }, counted, framing);
  }
  const next = createTap('ollama.generation', 'ndjson');
  const longText = Buffer.from(`{"response":"${'x'.repeat(17 * megabyte)}","done":false}\n${end}`);
  for (const chunk of cutInto(longText, 65_536)) next.observe(chunk);
  assert.deepEqual({ ...next.report() }, counted);
});

test('a long line is read the same wherever it is cut', () => {
  const line = longAnswer(1);
  for (let size = 65_000; size < 65_400; size += 7) {
    const tap = createTap('ollama.generation', 'ndjson');
    for (const chunk of cutInto(line, size)) tap.observe(chunk);
    assert.deepEqual({ ...tap.report() }, counted, `pieces of ${size}`);
  }
});

test('long embeddings are counted', () => {
  const numbers = Array.from({ length: 60_000 }, (_, i) => i / 7);
  for (const [kind, body] of [
    ['ollama.embed', { model: 'm', embeddings: [numbers, numbers], prompt_eval_count: 1 }],
    ['openai.embed', { data: [{ embedding: numbers, index: 0 }, { index: 1 }], usage: { prompt_tokens: 1 } }],
  ] as const) {
    const tap = createTap(kind, 'json');
    for (const chunk of cutInto(Buffer.from(JSON.stringify(body)), 65_536)) tap.observe(chunk);
    assert.deepEqual(tap.report().usage, { inputTokens: 1, outputTokens: undefined }, kind);
    assert.equal(tap.report().ended, true);
  }
});

test('text in a long line that looks like its bulk or its end changes nothing', () => {
  const lies = ['"context":[', '],"eval_count":0,"prompt_eval_count":0}', '\n{"done":true,"eval_count":0}\n', '\\'];
  for (const lie of lies) {
    const tap = createTap('ollama.generation', 'ndjson');
    for (const chunk of cutInto(longAnswer(1, lie.repeat(20_000)), 65_536)) tap.observe(chunk);
    assert.deepEqual({ ...tap.report() }, counted, lie);
  }
  const args = { context: ['],"eval_count":0}', 'x'.repeat(megabyte)] };
  const line = { message: { tool_calls: [{ function: { name: 'f', arguments: args } }] }, ...JSON.parse(end) };
  const tap = createTap('ollama.generation', 'ndjson');
  for (const chunk of cutInto(Buffer.from(`${JSON.stringify(line)}\n`), 65_536)) tap.observe(chunk);
  assert.deepEqual({ ...tap.report() }, counted);
});

test('where the middle of a line was let go, its counts are right or unknown, never others', () => {
  for (const text of ['x', '\\u0041', '\\"', '\\\\']) {
    for (let shift = 0; shift < 6; shift += 1) {
      const inside = `${'y'.repeat(shift)}${text.repeat((17 * megabyte) / text.length)}`;
      const line = Buffer.from(`{"response":"${inside}",${end.slice(1)}`);
      const tap = createTap('ollama.generation', 'ndjson');
      for (const chunk of cutInto(line, 65_536)) tap.observe(chunk);
      const { usage } = tap.report();
      if (usage !== 'unknown') assert.deepEqual(usage, counted.usage, text);
    }
  }
});

test('a last event of many megabytes is read: it holds the whole answer', () => {
  const response = { output: [{ text: 'x"\n'.repeat(2 * megabyte) }], status: 'completed', usage: { input_tokens: 1 } };
  const event = Buffer.from(`data: ${JSON.stringify({ response, type: 'response.completed' })}\n\n`);
  const tap = createTap('openai.response', 'sse');
  for (const chunk of cutInto(event, 65_536)) tap.observe(chunk);
  assert.deepEqual(tap.report().usage, { inputTokens: 1, outputTokens: undefined });
});

test('a line that never ends takes no more memory than the bound', () => {
  const tap = createTap('openai.chat', 'sse');
  const before = process.memoryUsage().arrayBuffers;
  const chunk = Buffer.alloc(65_536, 'x');
  for (let bytes = 0; bytes < 200 * megabyte; bytes += chunk.length) tap.observe(chunk);
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 70 * megabyte, `${grown} bytes more`);
  assert.equal(tap.report().usage, 'unknown');
});

test('a line that comes byte by byte takes little more memory than its bytes', () => {
  const tap = createTap('ollama.generation', 'ndjson');
  const before = process.memoryUsage();
  const line = Buffer.alloc(2 * megabyte, 'x');
  for (const byte of cutInto(line, 1)) tap.observe(byte);
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  // As a list of pieces it was some 200 MB.
  assert.ok(grown < 40 * megabyte, `${grown} bytes more`);
  tap.observe(Buffer.from(`\n${end}`));
  assert.deepEqual({ ...tap.report() }, counted);
});

test('a tap can be asked for its report when nothing came, and twice', () => {
  for (const framing of ['ndjson', 'sse', 'json'] as const) {
    const tap = createTap('ollama.generation', framing);
    tap.observe(Buffer.alloc(0));
    const nothing = { usage: 'unknown', finishReason: undefined, ended: false, failed: false };
    assert.deepEqual({ ...tap.report() }, nothing);
    assert.deepEqual({ ...tap.report() }, nothing);
  }
});
