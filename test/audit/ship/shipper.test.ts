/** Shipping: in batches, again where it failed, never without bound, and what is lost is counted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { createShipper, NotDelivered, type ShipperOptions } from '../../../src/audit/ship/shipper.ts';
import type { Recorded } from '../../../src/audit/sink.ts';
import { createRing } from '../../../src/management/ring.ts';
import { recordedOf } from './recorded.ts';

function start(deliver: ShipperOptions['deliver'], over: Partial<ShipperOptions> = {}, most = 1000) {
  const told: string[] = [];
  const counts = { lost: 0 };
  const shipper = createShipper({
    name: 'test',
    queue: createRing(most),
    batch: 10,
    delayMs: 5,
    pauseMs: () => 5,
    closeMs: 100,
    deliver,
    events: {
      lost: (count) => {
        counts.lost += count;
      },
      failing: (error) => told.push(`failing: ${error instanceof Error ? error.message : error}`),
      recovered: (failures) => told.push(`recovered after ${failures}`),
      refused: (error, count) => told.push(`refused ${count}: ${error.message}`),
    },
    ...over,
  });
  return { shipper, told, counts };
}

const number = (from: number, to: number): Recorded[] =>
  Array.from({ length: to - from }, (_, at) => recordedOf({ request_id: `r-${from + at}` }));
const idsOf = (records: readonly Recorded[]): string[] => records.map(({ event }) => event.request_id);

async function until(isSo: () => boolean): Promise<void> {
  for (const end = Date.now() + 30_000; !isSo(); await sleep(2)) assert.ok(Date.now() < end, 'in time');
}

test('records come in order, in batches, and all of them', async () => {
  const sizes: number[] = [];
  const ids: string[] = [];
  const { shipper, counts } = start(async (records) => {
    sizes.push(records.length);
    ids.push(...idsOf(records));
  });
  for (const recorded of number(0, 25)) shipper.write(recorded);
  await until(() => ids.length === 25);
  assert.deepEqual(sizes, [10, 10, 5]);
  assert.deepEqual(ids, idsOf(number(0, 25)));
  shipper.write(recordedOf({ request_id: 'late' }));
  await shipper.close();
  assert.equal(ids.at(-1), 'late', 'what waits is sent at the end');
  assert.equal(counts.lost, 0);
});

test('a batch that fails is sent again, and that is told once', async () => {
  let failures = 3;
  const ids: string[] = [];
  const { shipper, told, counts } = start(async (records) => {
    if (failures > 0) {
      failures -= 1;
      throw new Error('away');
    }
    ids.push(...idsOf(records));
  });
  for (const recorded of number(0, 3)) shipper.write(recorded);
  await until(() => ids.length === 3);
  assert.deepEqual(told, ['failing: away', 'recovered after 3']);
  assert.equal(counts.lost, 0);
  await shipper.close();
});

test('while the receiver is away the oldest give way to new ones, each counted', async () => {
  let isAway = true;
  let asked = 0;
  const ids: string[] = [];
  const { shipper, counts } = start(
    async (records) => {
      asked += 1;
      if (isAway) throw new Error('away');
      ids.push(...idsOf(records));
    },
    {},
    20,
  );
  for (const recorded of number(0, 10)) shipper.write(recorded);
  // The first ten are on their way, again and again.
  await until(() => asked > 1);
  for (const recorded of number(10, 50)) shipper.write(recorded);
  assert.equal(counts.lost, 20);
  isAway = false;
  await until(() => ids.length === 30);
  assert.deepEqual(ids, [...idsOf(number(0, 10)), ...idsOf(number(30, 50))]);
  await shipper.close();
  assert.equal(counts.lost, 20);
});

test('what the receiver does not want is lost, counted, and holds nothing up', async () => {
  const ids: string[] = [];
  const { shipper, told, counts } = start(async (records) => {
    if (idsOf(records).includes('r-0')) throw new NotDelivered('bad', 'all');
    if (idsOf(records).includes('r-10')) throw new NotDelivered('some', 2);
    ids.push(...idsOf(records));
  });
  for (const recorded of number(0, 25)) shipper.write(recorded);
  await until(() => ids.length === 5);
  assert.deepEqual(told, ['refused 10: bad', 'refused 2: some']);
  assert.equal(counts.lost, 12);
  await shipper.close();
});

test('a receiver that takes nothing does not hold the end up, and what is left is counted', async () => {
  const { shipper, counts } = start(
    (_records, signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('ends')))),
  );
  for (const recorded of number(0, 15)) shipper.write(recorded);
  await sleep(20);
  const began = Date.now();
  await shipper.close();
  assert.ok(Date.now() - began < 20_000);
  assert.equal(counts.lost, 15);
  shipper.write(recordedOf());
  assert.equal(counts.lost, 16, 'behind the end too');
});
