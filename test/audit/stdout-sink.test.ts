/** One event, one line, whatever callers put into the names that it holds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AuditSink, createAuditRecorded, createSinks, toLine } from '../../src/audit/sink.ts';
import { createKeepingRecorder } from './recording.ts';

function eventWith(text: string) {
  const { begin, events } = createKeepingRecorder();
  const record = begin({ requestId: text, api: 'ollama', method: 'POST' });
  record.identified({
    id: text,
    kind: 'jwt',
    roles: [],
    agentRole: undefined,
    permissions: [],
    tenant: text,
    claims: { [text]: text },
  });
  record.finish({ outcome: 'denied', status: 403 });
  return events[0] ?? assert.fail('no event');
}

function writeLine(event: ReturnType<typeof eventWith>): string {
  return toLine(createAuditRecorded(event));
}

for (const text of [
  'a\n{"event":"audit","principal":"admin"}',
  'a\r\nb',
  '"},{"a":"',
  '\u0000\u0001\u001b[31m\u007f',
  '\u2028\u2029\u0085',
  '\ud800',
  'é😀',
  '__proto__',
  'x'.repeat(10_000),
]) {
  test(`a subject that reads ${JSON.stringify(text.slice(0, 50))} stays inside its member`, () => {
    const event = eventWith(text);
    const line = writeLine(event);
    assert.equal(line.indexOf('\n'), line.length - 1, 'one line');
    // No control character reaches a terminal.
    assert.ok([...line.slice(0, -1)].every((character) => character >= ' '));
    const read = JSON.parse(line);
    assert.deepEqual(Object.keys(read).slice(0, 1), ['event']);
    assert.equal(read.event, 'audit');
    const { event: _, ...rest } = read;
    assert.deepEqual(rest, JSON.parse(JSON.stringify(event)));
  });
}

test('neither level nor time of a log stand in the line: the event has its own', () => {
  const line = writeLine(eventWith('alice'));
  assert.match(line, /^\{"event":"audit","time":"2026-06-11T12:00:00\.000Z",/);
  assert.doesNotMatch(line, /"level"|"pid"|"hostname"|"msg"/);
});

test('a sink that fails is told of and reaches neither the request nor the other sinks', () => {
  const failures: unknown[] = [];
  const lines: string[] = [];
  const error = new Error('EPIPE');
  const broken: AuditSink = {
    name: 'broken',
    write() {
      throw error;
    },
    close: async () => {},
  };
  const whole: AuditSink = { name: 'whole', write: (told) => lines.push(toLine(told)), close: async () => {} };
  const { record } = createSinks([broken, whole], (sink, cause) => failures.push([sink, cause]));
  record(createAuditRecorded(eventWith('a')));
  record(createAuditRecorded(eventWith('b')));
  assert.deepEqual(failures, [
    ['broken', error],
    ['broken', error],
  ]);
  assert.equal(lines.length, 2);
});
