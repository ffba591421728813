/** The usage event that nobody asked for is taken out, and not a byte beside it, wherever the bytes are cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUsageHider } from '../../src/stream/hide-usage.ts';
import { recordedStreams } from './bodies.ts';

function hide(chunks: readonly Buffer[], inEachEvent = false): string {
  const filter = createUsageHider({ inEachEvent });
  return Buffer.concat([...chunks.map((chunk) => filter.push(chunk)), filter.flush()]).toString('latin1');
}

function cutOnce(bytes: Buffer, at: number): Buffer[] {
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

const events = (text: string): string[] => text.split(/(?<=\n\n)/);
const isUsage = (event: string): boolean => event.includes('"choices":[]') && event.includes('"usage":{');

const recorded = recordedStreams().filter(({ kind }) => kind === 'openai.chat');

for (const { name, body } of recorded) {
  const text = body.toString('latin1');
  const expected = events(text)
    .filter((event) => !isUsage(event))
    .join('');

  test(`${name}: at every byte boundary the client gets the recording without its usage event`, () => {
    for (let at = 0; at <= body.length; at += 1) assert.equal(hide(cutOnce(body, at)), expected, `cut at ${at}`);
    assert.equal(hide(Array.from(body, (_, at) => body.subarray(at, at + 1))), expected);
  });

  test(`${name}: the same with the other kind of line ends`, () => {
    const other = Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1');
    const without = expected.replaceAll('\n', '\r\n');
    for (let at = 0; at <= other.length; at += 1) assert.equal(hide(cutOnce(other, at)), without, `cut at ${at}`);
  });

  test(`${name}: a whole event is handed on at once, and no more than an event is held`, () => {
    const filter = createUsageHider({ inEachEvent: false });
    let given = 0;
    let owed = 0;
    for (const event of events(text)) {
      for (const byte of Buffer.from(event, 'latin1').subarray(0, -1)) given += filter.push(Buffer.of(byte)).length;
      assert.equal(given, owed, 'an unfinished event waits');
      given += filter.push(Buffer.from('\n')).length;
      if (!isUsage(event)) owed += event.length;
      assert.equal(given, owed, 'a finished one does not');
    }
  });
}

test('one of the recordings has an event to hide', () => {
  assert.ok(recorded.some(({ body }) => events(body.toString('latin1')).some(isUsage)));
});

const usage = '"usage":{"prompt_tokens":1,"completion_tokens":2}';

for (const event of [
  `data: {"choices":[{"delta":{"content":"a"}}],${usage}}\n\n`,
  'data: {"choices":[],"usage":null}\n\n',
  'data: {"choices":[]}\n\n',
  `data: {${usage}}\n\n`,
  `data: {"choices":null,${usage}}\n\n`,
  `data: {"choices":[{"delta":{"content":"\\"choices\\":[],\\"usage\\":{}"}}]}\n\n`,
  `data: not json ${usage}\n\n`,
  `event: x\ndata: {"choices":[],${usage}}\n\n`,
  `: {"choices":[],${usage}}\n\n`,
  `data: [{"choices":[],${usage}}]\n\n`,
]) {
  test(`stays: ${JSON.stringify(event)}`, () => {
    for (let at = 0; at <= event.length; at += 1) assert.equal(hide(cutOnce(Buffer.from(event), at)), event);
  });
}

for (const event of [
  `data: {"id":"x","choices":[],${usage}}\n\n`,
  `data:{"choices":[], ${usage}}\n\n`,
  `data: {${usage},"choices":[ ]}\r\n\r\n`,
  // Not ended by a blank line: some clients take the last event even so.
  `data: {"choices":[],${usage}}\n`,
  `data: {"choices":[],${usage}}`,
]) {
  test(`goes: ${JSON.stringify(event)}`, () => {
    for (let at = 0; at <= event.length; at += 1)
      assert.equal(hide(cutOnce(Buffer.from(event), at)), '', `cut at ${at}`);
    assert.equal(hide([Buffer.from(`data: a\n\n${event}`)]), 'data: a\n\n');
  });
}

test('an event that grows without end is handed on in pieces, byte for byte', () => {
  const filter = createUsageHider({ inEachEvent: false });
  const piece = Buffer.alloc(1000, 'x');
  let given = 0;
  for (let sent = 1000; sent <= 1_000_000; sent += 1000) {
    given += filter.push(piece).length;
    assert.ok(sent - given <= 66_000, `${sent - given} bytes are held`);
  }
  assert.equal(given + filter.flush().length, 1_000_000);
});

test('a chunk of whole events without a marker is handed on as the buffer it is', () => {
  const chunk = Buffer.from('data: {"choices":[{"delta":{"content":"a"}}]}\n\n');
  const given = createUsageHider({ inEachEvent: false }).push(chunk);
  assert.equal(given.buffer, chunk.buffer, 'no copy');
});

function recordedCompletion(name: string): Buffer {
  const found = recordedStreams().find((stream) => stream.name === name);
  assert.ok(found !== undefined, name);
  return found.body;
}

test('a completion that was asked for its counts loses them in every chunk, and is the one that was not asked', () => {
  const asked = recordedCompletion('v1-completions-stream-usage');
  const sameRun = (text: string) => text.replaceAll(/"id":"cmpl-\d+"|"created":\d+/g, '');
  const plain = sameRun(recordedCompletion('v1-completions-stream').toString('latin1'));
  assert.notEqual(sameRun(asked.toString('latin1')), plain);
  for (let at = 0; at <= asked.length; at += 1)
    assert.equal(sameRun(hide(cutOnce(asked, at), true)), plain, `cut at ${at}`);
  const bytes = Array.from(asked, (_, at) => asked.subarray(at, at + 1));
  assert.equal(sameRun(hide(bytes, true)), plain);
  const other = Buffer.from(asked.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
  for (let at = 0; at <= other.length; at += 1)
    assert.equal(sameRun(hide(cutOnce(other, at), true)), plain.replaceAll('\n', '\r\n'), `cut at ${at}`);
});

const zero = '"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}';

for (const event of [
  // What a model writes has its quotes escaped.
  `data: ${JSON.stringify({ choices: [{ text: `x,${zero}}` }] })}\n\n`,
  `data: ${JSON.stringify({ choices: [{ text: `"choices":[],${zero}}\n\n` }] })}\n\n`,
  // Not behind all other members, so not one that the question brought.
  `data: {"choices":[{"text":"a",${zero}}]}\n\n`,
  `data: {"choices":[{"text":"a"}],${zero},"model":"m"}\n\n`,
  `data: {"choices":[{"text":"a"}],"usage":{"prompt_tokens":0,"completion_tokens":1,"total_tokens":1}}\n\n`,
  'data: {"choices":[{"text":"a"}],"usage":null}\n\n',
]) {
  test(`stays in a completion: ${JSON.stringify(event)}`, () => {
    for (let at = 0; at <= event.length; at += 1) assert.equal(hide(cutOnce(Buffer.from(event), at), true), event);
  });
}

test('the event with the counts of a completion goes also where they are all zero, as for a load', () => {
  const event = `data: {"choices":[],"model":"m",${zero}}\n\n`;
  for (let at = 0; at <= event.length; at += 1) assert.equal(hide(cutOnce(Buffer.from(event), at), true), '');
});

test('on a chat a zero usage in a chunk stays: the question does not bring one there', () => {
  const event = `data: {"choices":[{"delta":{}}],${zero}}\n\n`;
  assert.equal(hide([Buffer.from(event)]), event);
});
