/** What a worker tells, and what it does where nobody listens. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toLineJson } from '../../src/audit/sink.ts';
import { createOutbox, type OutboxOptions } from '../../src/workers/child/outbox.ts';
import type { FromWorker } from '../../src/workers/messages.ts';
import { readEnd, tellEnd, unpackMeasures } from '../../src/workers/told.ts';
import { auditEventOf } from '../audit/recording.ts';

const decision = () => toLineJson(auditEventOf());
const measures = { durationS: 1, firstByteS: 1, decisionS: 1, reasonLabel: '', overheadS: 1 };

function create(options: Partial<OutboxOptions> = {}) {
  const sent: FromWorker[] = [];
  const unsent: (() => void)[] = [];
  const outbox = createOutbox({
    file: { durability: 'strict', onFailure: 'refuse' },
    auditFails: false,
    send(message, onSent) {
      sent.push(message);
      unsent.push(onSent);
    },
    ...options,
  });
  return { outbox, sent, unsent };
}

test('a request waits until the primary says that its line is on disk', async () => {
  const { outbox, sent } = create();
  const [first, second] = [outbox.admit?.(decision), outbox.admit?.(decision)];
  await new Promise(setImmediate);
  const [message] = sent;
  assert.ok(message?.kind === 'admit' && message.texts.length === 2);
  outbox.admitted(message.id, [1]);
  await first;
  await assert.rejects(async () => second, { code: 'audit_unavailable' });
});

test('a primary that says nothing denies', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { outbox, sent } = create();
  const waiting = outbox.admit?.(decision);
  await new Promise(setImmediate);
  assert.equal(sent.length, 1);
  t.mock.timers.tick(10_000);
  await assert.rejects(async () => waiting, { code: 'audit_unavailable', status: 503 });
});

test('where a request need not wait it is refused while the file can not be written, if that is configured', async () => {
  const { outbox } = create({ file: { durability: 'async', onFailure: 'refuse' } });
  assert.equal(outbox.admit?.(decision), undefined);
  outbox.auditFails(true);
  await assert.rejects(async () => outbox.admit?.(decision), { code: 'audit_unavailable' });
  outbox.auditFails(false);
  assert.equal(outbox.admit?.(decision), undefined);
  const going = create({ file: { durability: 'async', onFailure: 'continue' }, auditFails: true });
  assert.equal(going.outbox.admit?.(decision), undefined);
});

test('a decision is told before the end of its request', async () => {
  const { outbox, sent } = create({ file: { durability: 'async', onFailure: 'refuse' } });
  outbox.admit?.(decision);
  outbox.observe(auditEventOf(), measures);
  await new Promise(setImmediate);
  const [message] = sent;
  assert.ok(message?.kind === 'records');
  assert.deepEqual(
    message.told.map((told) => 'decision' in told),
    [true, false],
  );
});

test('what a primary does not take is lost and counted, and bounded until then', async () => {
  const { outbox, sent, unsent } = create();
  for (let event = 0; event < 50_010; event += 1) outbox.observe(auditEventOf(), measures);
  outbox.flush();
  const [first] = sent;
  assert.ok(first?.kind === 'records' && first.told.length === 50_000);
  assert.deepEqual(first.counts, [['auditFailed', 'record', 10]]);
  // Nothing has left yet.
  outbox.observe(auditEventOf(), measures);
  outbox.flush();
  const second = sent[1];
  assert.ok(second?.kind === 'records' && second.told.length === 0);
  for (const left of unsent) left();
  outbox.observe(auditEventOf(), measures);
  outbox.flush();
  assert.ok(sent[2]?.kind === 'records' && sent[2].told.length === 1);
});

test('a record arrives as it was made, its input too', () => {
  const event = auditEventOf({
    model: 'a\u0085b',
    input: { version: 1, text: 'x,"input":{"y":1}', nested: { input: 2 } },
  });
  const told = tellEnd(event, measures);
  assert.equal(told.text, toLineJson(event));
  const read = readEnd(structuredClone(told));
  assert.deepEqual(JSON.parse(JSON.stringify(read)), JSON.parse(JSON.stringify(event)));
  assert.deepEqual(read.input, event.input);
  assert.deepEqual(unpackMeasures(structuredClone(told.measures)), { ...measures, traceSampled: undefined });
  const { input: _, ...without } = event;
  assert.equal(readEnd(tellEnd(without, measures)).input, undefined);
});
