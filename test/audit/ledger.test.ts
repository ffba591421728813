/** What becomes of lines, and of those who wait for them, while the disk does not take them. */
import assert from 'node:assert/strict';
import { test as define } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { createLedger, type Ledger, type LedgerOptions } from '../../src/audit/file/ledger.ts';
import { origin } from '../../src/audit/file/seal.ts';
import { patient } from '../support/at-best.ts';

// Times are short here: what a held up process spoils is carried out anew.
const test = patient(define);

/** Stands for the disk: takes bytes or fails as it is told. */
function createTestDisk() {
  const disk = {
    text: '',
    fails: false,
    hangs: undefined as Promise<void> | undefined,
    lines: () =>
      disk.text
        .split('\n')
        .slice(0, -1)
        .map((line): Record<string, unknown> => JSON.parse(line)),
    store: {
      async append(bytes: Buffer) {
        await disk.hangs;
        if (disk.fails) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
        disk.text += bytes.toString();
      },
      appendNow(bytes: Buffer) {
        disk.text += bytes.toString();
      },
      sync: async () => {},
      rotate: async () => {},
      bytes: () => disk.text.length,
      begunMs: () => Date.now(),
      firstSeq: () => 0,
      isInPlace: async () => true,
      close: async () => {},
    },
  };
  return disk;
}

async function startLedger(over: Partial<LedgerOptions> = {}) {
  const disk = createTestDisk();
  const told: string[] = [];
  const ledger: Ledger = createLedger({
    store: disk.store,
    after: origin,
    synced: true,
    rotate: { bytes: 1e9, everyMs: 0 },
    opening: (reason) => ({ reason }),
    onFailing: () => told.push('failing'),
    onRecovered: () => told.push('recovered'),
    onLost: (lines) => told.push(`lost ${lines}`),
    onNotRotated: () => told.push('not rotated'),
    delayMs: 2,
    retryMs: 20,
    ...over,
  });
  await ledger.started;
  return { disk, told, ledger };
}

const ids = (lines: readonly Record<string, unknown>[]) => lines.map(({ id, event }) => id ?? event);

function assertChained(lines: readonly Record<string, unknown>[]): void {
  for (const [at, line] of lines.entries())
    assert.deepEqual([line['seq'], line['prev']], [at, lines[at - 1]?.['hash'] ?? origin.hash]);
}

test('who waits for a line that the disk refuses is told, and the line gets there once the disk takes lines again', async () => {
  const { disk, told, ledger } = await startLedger();
  disk.fails = true;
  await assert.rejects(ledger.addAndWait('decision', '{"id":1}'), { code: 'ENOSPC' });
  ledger.add('completion', '{"id":2}');
  assert.ok(ledger.failure() !== undefined);
  disk.fails = false;
  while (ledger.failure() !== undefined) await sleep(5);
  await ledger.addAndWait('decision', '{"id":3}');
  await ledger.close();
  assert.deepEqual(ids(disk.lines()), ['open', 1, 2, 3, 'close']);
  assertChained(disk.lines());
  assert.deepEqual(told, ['failing', 'recovered']);
});

test('no more waits for the disk than may; what is lost is counted, and the chain tells how much', async () => {
  const { disk, told, ledger } = await startLedger({ most: { lines: 3, bytes: 1e6 } });
  disk.fails = true;
  await assert.rejects(ledger.addAndWait('decision', '{"id":1}'));
  for (let id = 2; id <= 6; id += 1) ledger.add('completion', `{"id":${id}}`);
  assert.deepEqual(told, ['failing', 'lost 1', 'lost 1', 'lost 1']);
  disk.fails = false;
  while (ledger.failure() !== undefined) await sleep(5);
  await ledger.close();
  const lines = disk.lines();
  assert.deepEqual(ids(lines), ['open', 1, 2, 3, 'gap', 'close']);
  assert.equal(lines[4]?.['lost'], 3);
});

test('bytes are bounded as well as lines', async () => {
  const { disk, told, ledger } = await startLedger({ most: { lines: 1000, bytes: 2500 } });
  disk.fails = true;
  await assert.rejects(ledger.addAndWait('decision', '{"id":1}'));
  for (let at = 0; at < 4; at += 1) ledger.add('completion', () => JSON.stringify({ text: 'x'.repeat(1000) }));
  assert.deepEqual(told, ['failing', 'lost 1', 'lost 1']);
});

test('a disk that hangs fails those who wait after a while, and not for ever', async () => {
  let letGo = (): void => {};
  const { disk, told, ledger } = await startLedger({ patienceMs: 30 });
  disk.hangs = new Promise((resolve) => {
    letGo = resolve;
  });
  await assert.rejects(ledger.addAndWait('decision', '{"id":1}'), /the disk takes longer than 30 ms/);
  assert.ok(ledger.failure() !== undefined);
  disk.hangs = undefined;
  letGo();
  while (ledger.failure() !== undefined) await sleep(5);
  await ledger.addAndWait('decision', '{"id":2}');
  await ledger.close();
  assert.deepEqual(ids(disk.lines()), ['open', 1, 2, 'close']);
  assert.deepEqual(told, ['failing', 'recovered']);
});

test('those who wait at once are in one group', async () => {
  let writes = 0;
  const { disk, ledger } = await startLedger();
  const { append } = disk.store;
  disk.store.append = (bytes) => {
    writes += 1;
    return append(bytes);
  };
  await Promise.all(Array.from({ length: 200 }, (_, id) => ledger.addAndWait('decision', `{"id":${id}}`)));
  assert.equal(writes, 1);
  assert.equal(disk.lines().length, 201);
});

test('a line that can not be made is lost by itself', async () => {
  const { disk, told, ledger } = await startLedger();
  const broken = ledger.addAndWait('decision', () => {
    throw new Error('no JSON');
  });
  const whole = ledger.addAndWait('decision', '{"id":2}');
  await assert.rejects(broken, /no JSON/);
  await whole;
  assert.deepEqual(told, ['lost 1']);
  assertChained(disk.lines());
});

test('a process that crashes writes what waits, also what is being written', async () => {
  const { disk, ledger } = await startLedger();
  disk.hangs = new Promise(() => {});
  void ledger.addAndWait('decision', '{"id":1}').catch(() => {});
  await sleep(10);
  ledger.add('completion', '{"id":2}');
  ledger.flushNow();
  assert.deepEqual(ids(disk.lines()), ['open', 1, 2]);
  assertChained(disk.lines());
});

/** Until what was added in this turn of the event loop is sealed. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a file that vanished begins anew with the line that says so, and what was sealed for the other one follows', async () => {
  const { disk, ledger } = await startLedger({ delayMs: 10_000 });
  let isThere = true;
  disk.store.isInPlace = async () => isThere;
  ledger.add('completion', '{"id":1}');
  ledger.add('decision', () => '{"id":"ä 2"}');
  ledger.add('completion', '{"id":3,"text":"\\n"}');
  await turn();
  isThere = false;
  ledger.look();
  while (disk.lines().length < 5) await sleep(5);
  isThere = true;
  ledger.add('completion', '{"id":4}');
  await ledger.close();
  const lines = disk.lines();
  assert.deepEqual(ids(lines), ['open', 'open', 1, 'ä 2', 3, 4, 'close']);
  assert.deepEqual([lines[1]?.['reason'], lines[4]?.['text']], ['vanished', '\n']);
  assertChained(lines);
});

test('what was sealed behind lines that the disk refused keeps its order, and its waiters hear of it', async () => {
  const { disk, ledger } = await startLedger();
  let letGo = (): void => {};
  disk.hangs = new Promise((resolve) => {
    letGo = resolve;
  });
  const refused = [
    assert.rejects(
      ledger.addAndWait('decision', () => '{"id":1}'),
      { code: 'ENOSPC' },
    ),
  ];
  await sleep(10);
  // While those are being written.
  refused.push(
    assert.rejects(
      ledger.addAndWait('decision', () => '{"id":2}'),
      { code: 'ENOSPC' },
    ),
  );
  ledger.add('completion', '{"id":3}');
  await turn();
  ledger.add('decision', () => '{"id":4}');
  disk.fails = true;
  letGo();
  await Promise.all(refused);
  ledger.add('completion', () => '{"id":5}');
  disk.fails = false;
  while (ledger.failure() !== undefined) await sleep(5);
  await ledger.addAndWait('decision', '{"id":6}');
  await ledger.close();
  assert.deepEqual(ids(disk.lines()), ['open', 1, 2, 3, 4, 5, 6, 'close']);
  assertChained(disk.lines());
});

test('more than one group holds, and a line longer than any group, get there in order', async () => {
  const { disk, told, ledger } = await startLedger();
  const text = (length: number): string => 'ü'.repeat(length);
  const expected: unknown[] = ['open'];
  for (let id = 0; id < 1500; id += 1) {
    const length = id % 500 === 250 ? 400_000 : 300;
    const json = JSON.stringify({ id, text: text(length) });
    ledger.add('completion', id % 2 === 0 ? json : () => json);
    expected.push(id);
  }
  await ledger.close();
  assert.deepEqual(ids(disk.lines()), [...expected, 'close']);
  assertChained(disk.lines());
  assert.deepEqual(told, []);
});

test('each end of the chain that is vouched for is told once, and stands in the chain', async () => {
  const heads: string[] = [];
  const { disk, ledger } = await startLedger({
    onHead: ({ seq }, reason) => {
      heads.push(`${reason} ${seq}`);
      return JSON.stringify({ seq });
    },
  });
  await ledger.addAndWait('decision', '{"id":1}');
  ledger.vouch();
  while (disk.lines().length < 4) await sleep(5);
  ledger.vouch();
  ledger.vouch();
  await sleep(20);
  await ledger.close();
  assert.deepEqual(heads, ['start 0', 'interval 2', 'close 4']);
  assert.deepEqual(ids(disk.lines()), ['open', 'head', 1, 'head', 'close']);
});
