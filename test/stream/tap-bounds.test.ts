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

test('a line over the bound is let go, and the lines behind it are still read', () => {
  const long = Buffer.from(`{"done":true,"eval_count":9,"response":"${'x'.repeat(17 * megabyte)}"}\n`);
  const tap = createTap('ollama.generation', 'ndjson');
  for (const chunk of cutInto(long, 65_536)) tap.observe(chunk);
  assert.equal(tap.report().usage, 'unknown', 'the counts of a line that was let go are unknown');

  const next = createTap('ollama.generation', 'ndjson');
  for (const chunk of cutInto(Buffer.concat([long, Buffer.from(end)]), 65_536)) next.observe(chunk);
  assert.deepEqual({ ...next.report() }, counted);
});

test('a JSON body over the bound leaves its counts unknown', () => {
  const tap = createTap('ollama.generation', 'json');
  const body = Buffer.from(`{"response":"${'x'.repeat(17 * megabyte)}","done":true,"eval_count":9}`);
  for (const chunk of cutInto(body, 65_536)) tap.observe(chunk);
  assert.deepEqual({ ...tap.report() }, { usage: 'unknown', finishReason: undefined, ended: false, failed: false });
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
