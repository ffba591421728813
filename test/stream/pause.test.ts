import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { watchPause } from '../../src/stream/pause.ts';

test('a pause is told once, not before its time, and within a tenth more of it', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let told = 0;
  const pause = watchPause(1000, () => {
    told += 1;
  });
  // It is over at the worst moment: right before somebody looks.
  t.mock.timers.tick(99);
  pause.end();
  t.mock.timers.tick(1000);
  assert.equal(told, 0, 'a second after what came last');
  t.mock.timers.tick(101);
  assert.equal(told, 1);
  t.mock.timers.tick(10_000);
  assert.equal(told, 1);
});

test('what comes now and then is no pause, and one that is stopped is never told', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const pause = watchPause(1000, () => assert.fail('there was none'));
  for (let i = 0; i < 20; i += 1) {
    t.mock.timers.tick(999);
    pause.end();
  }
  pause.stop();
  t.mock.timers.tick(10_000);
});

test('it keeps no process alive', async () => {
  const before = process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;
  const pause = watchPause(10, () => undefined);
  assert.equal(process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length, before);
  await sleep(30);
  pause.stop();
});
