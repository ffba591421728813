/** The audit file: what stands in it and when, over restarts, rotations and failures of the disk. */
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { listClosed } from '../../src/audit/file/segments.ts';
import { createAuditRecorded } from '../../src/audit/sink.ts';
import { auditEvent, createTestFile, decisionJson, recordOne } from './file-of-test.ts';

const eventsOf = (lines: readonly Readonly<Record<string, unknown>>[]) => lines.map(({ event }) => event);

/** Each line follows the one before it. */
function assertChained(lines: readonly Readonly<Record<string, unknown>>[]): void {
  for (const [at, line] of lines.entries()) {
    assert.equal(line['seq'], at);
    assert.equal(line['prev'], lines[at - 1]?.['hash'] ?? '0'.repeat(64));
  }
}

test('a forwarded request is two lines, the second one the whole event; a denied one is that alone', async (t) => {
  const file = createTestFile(t);
  const sink = await file.open();
  await recordOne(sink, 'forwarded');
  sink.write(createAuditRecorded(auditEvent('denied', { target: undefined, outcome: 'denied', status: 403 })));
  await sink.close();
  const lines = file.lines();
  assertChained(lines);
  assert.deepEqual(eventsOf(lines), ['open', 'decision', 'completion', 'completion', 'close']);
  assert.deepEqual(
    lines.slice(1, 4).map(({ request_id, outcome, input }) => [request_id, outcome, input]),
    [
      ['forwarded', undefined, undefined],
      ['forwarded', 'complete', { version: 1 }],
      ['denied', 'denied', { version: 1 }],
    ],
  );
});

test('strict: once a request may go on, its line is in the file', async (t) => {
  const file = createTestFile(t);
  const sink = await file.open();
  for (let at = 0; at < 5; at += 1) {
    await sink.admit?.(() => decisionJson(`r${at}`));
    assert.ok(file.lines().some(({ request_id }) => request_id === `r${at}`));
  }
  await Promise.all(Array.from({ length: 50 }, (_, at) => sink.admit?.(() => decisionJson(`p${at}`))));
  assert.equal(file.lines().length, 56);
  await sink.close();
  assertChained(file.lines());
});

async function until(isSo: () => boolean): Promise<void> {
  for (const end = Date.now() + 30_000; !isSo(); await sleep(5)) assert.ok(Date.now() < end, 'in time');
}

test('async: nobody waits, and the line is written within a moment', async (t) => {
  const file = createTestFile(t, { durability: 'async', onFailure: 'continue' });
  const sink = await file.open();
  assert.equal(
    sink.admit?.(() => decisionJson('r')),
    undefined,
  );
  assert.deepEqual(eventsOf(file.lines()), ['open']);
  await until(() => file.lines().length >= 2);
  await sink.close();
  assertChained(file.lines());
});

test('the chain goes on over a restart', async (t) => {
  const file = createTestFile(t);
  const chains = new Set<string>();
  for (const id of ['a', 'b', 'c']) {
    const sink = await file.open();
    chains.add(sink.chain);
    await recordOne(sink, id);
    await sink.close();
  }
  assertChained(file.lines());
  assert.equal(file.lines().length, 12);
  assert.equal(chains.size, 1);
  assert.deepEqual(file.told, []);
});

test('only the own user may read it', async (t) => {
  const file = createTestFile(t);
  await (await file.open()).close();
  assert.equal(statSync(file.config.path).mode & 0o777, 0o600);
});

test('a second writer is refused, and may write once the first one has ended', async (t) => {
  const file = createTestFile(t);
  const first = await file.open();
  await assert.rejects(file.open(), /another process writes to it; give each sidecar a file of its own/);
  await first.close();
  await (await file.open()).close();
});

test('a line that a crash cut is cut off, and the next start says so', async (t) => {
  const file = createTestFile(t);
  const sink = await file.open();
  await recordOne(sink, 'a');
  await sink.close();
  appendFileSync(file.config.path, '{"seq":4,"prev":"00');
  await (await file.open()).close();
  const lines = file.lines();
  assertChained(lines);
  assert.deepEqual(file.told, ['torn 19 0']);
  assert.deepEqual([lines[4]?.['event'], lines[4]?.['torn_bytes'], lines[4]?.['damaged_lines']], ['open', 19, 0]);
});

test('lines that are whole and not what was written are told of as such', async (t) => {
  const file = createTestFile(t);
  const sink = await file.open();
  await recordOne(sink, 'a');
  await sink.close();
  const text = readFileSync(file.config.path, 'utf8');
  writeFileSync(file.config.path, text.replace(/("event":"close".*)"time":"2/, '$1"time":"3'));
  await (await file.open()).close();
  assert.match(file.told.join(), /^torn \d+ 1$/);
  assertChained(file.lines());
});

test('a file of something else is left as it is', async (t) => {
  const file = createTestFile(t);
  writeFileSync(file.config.path, 'dear diary\n');
  await assert.rejects(file.open(), /holds no line of an audit log; name another file/);
  assert.equal(readFileSync(file.config.path, 'utf8'), 'dear diary\n');
});

test('a full file is put aside, named by its first line, and the chain goes on in the next one', async (t) => {
  const file = createTestFile(t, { rotate: { size: 2000, every: 0 } });
  const sink = await file.open();
  for (let at = 0; at < 12; at += 1) await recordOne(sink, `r${at}`);
  await sink.close();
  const closed = listClosed(file.config.path);
  assert.ok(closed.length >= 3);
  const lines = file.lines();
  assertChained(lines);
  for (const { firstSeq } of closed) assert.equal(lines[firstSeq]?.['event'], 'open');
  const again = await file.open();
  assert.equal(again.chain, sink.chain);
  await again.close();
  assertChained(file.lines());
});

test('a crash between two files does not end the chain', async (t) => {
  const file = createTestFile(t);
  const sink = await file.open();
  await recordOne(sink, 'a');
  await sink.close();
  renameSync(file.config.path, file.config.path.replace('.jsonl', '.000000000000.jsonl'));
  const again = await file.open();
  assert.equal(again.chain, sink.chain);
  await again.close();
  assertChained(file.lines());
});

test('an old file is put aside too', async (t) => {
  const file = createTestFile(t, { rotate: { size: 1 << 20, every: 20 } });
  const sink = await file.open();
  await sleep(30);
  await recordOne(sink, 'a');
  await sink.close();
  assert.ok(listClosed(file.config.path).length >= 1);
  assertChained(file.lines());
});

test('what may not be kept is deleted, the oldest first, and the chain says so before', async (t) => {
  const file = createTestFile(t, { rotate: { size: 2000, every: 0 }, keep: { forMs: 0, bytes: 6000 } });
  const sink = await file.open();
  for (let at = 0; at < 20; at += 1) {
    await recordOne(sink, `r${at}`);
    await sleep(2);
  }
  const kept = (): number => listClosed(file.config.path).reduce((sum, { bytes }) => sum + bytes, 0);
  await until(() => kept() <= 8000);
  await sink.close();
  const lines = file.lines();
  const first = Number(lines[0]?.['seq']);
  assert.ok(first > 0);
  assert.ok(kept() <= 8000);
  for (const [at, line] of lines.entries()) assert.equal(line['seq'], first + at);
  const said = lines.filter(({ event }) => event === 'retention').at(-1);
  assert.equal(said?.['first_seq'], first);
});

test('a file that somebody moved away is begun anew, and the chain says so', async (t) => {
  const file = createTestFile(t);
  const sink = await file.open();
  await recordOne(sink, 'a');
  renameSync(file.config.path, `${file.config.path}.1`);
  // Looked at every five seconds; here at once.
  sink.look();
  await until(() => existsSync(file.config.path));
  await recordOne(sink, 'b');
  await sink.close();
  const lines = file.lines();
  assert.deepEqual([lines[0]?.['event'], lines[0]?.['reason'], lines[0]?.['seq']], ['open', 'vanished', 2]);
  assert.ok(lines.some(({ request_id }) => request_id === 'b'));
});
