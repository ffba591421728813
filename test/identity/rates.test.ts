import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createRates, sourceOf } from '../../src/identity/rates.ts';

test('so many at once pass, the next one waits for its part of the minute', () => {
  let now = 1000;
  const rates = createRates(3, 10, () => now);
  assert.deepEqual([rates.take('a'), rates.take('a'), rates.take('a')], [0, 0, 0]);
  assert.equal(Math.round(rates.take('a')), 20_000);
  now += 19_000;
  assert.equal(Math.round(rates.take('a')), 1_000);
  now += 1_000;
  assert.equal(rates.take('a'), 0);
  assert.ok(rates.take('a') > 0, 'and only one');
});

test('what was refused is not counted', () => {
  let now = 0;
  const rates = createRates(1, 10, () => now);
  assert.equal(rates.take('a'), 0);
  for (let times = 0; times < 100; times++) assert.ok(rates.take('a') > 0);
  now += 60_000;
  assert.equal(rates.take('a'), 0);
});

test('one does not use up what another has', () => {
  const rates = createRates(1, 10, () => 0);
  assert.deepEqual([rates.take('a'), rates.take('b')], [0, 0]);
  assert.ok(rates.take('a') > 0);
});

test('of more keys than are remembered the one that has not asked for longest begins anew', () => {
  const rates = createRates(1, 2, () => 0);
  for (const key of ['a', 'b', 'c']) assert.equal(rates.take(key), 0);
  assert.ok(rates.take('b') > 0);
  assert.ok(rates.take('c') > 0);
  assert.equal(rates.take('a'), 0);
});

test('an IPv4 address stands for itself, an IPv6 address for its network of 64 bits', () => {
  assert.equal(sourceOf('192.0.2.7'), '192.0.2.7');
  assert.equal(sourceOf('::ffff:192.0.2.7'), '192.0.2.7');
  assert.equal(sourceOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64');
  assert.equal(sourceOf('2001:db8:1:2::9'), '2001:db8:1:2::/64');
  assert.equal(sourceOf('2001:db8::9'), '2001:db8:0:0::/64');
  assert.equal(sourceOf('::1'), '0:0:0:0::/64');
  assert.equal(sourceOf('fe80::1%eth0'), 'fe80:0:0:0::/64');
});
