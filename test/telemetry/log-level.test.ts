import assert from 'node:assert/strict';
import { test } from 'node:test';

import { pino } from 'pino';

import { createLogLevel } from '../../src/telemetry/log-level.ts';

test('a level that was set for a time goes back when the time is over, and not when another was set meanwhile', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const level = createLogLevel(log);
  assert.deepEqual(level.set('debug', 1000), { level: 'debug', configured: 'info', untilMs: Date.now() + 1000 });
  t.mock.timers.tick(999);
  assert.equal(log.level, 'debug');
  t.mock.timers.tick(1);
  assert.deepEqual(level.state(), { level: 'info', configured: 'info', untilMs: undefined });
  assert.match(lines[0] ?? '', /is the configured one again/);

  level.set('debug', 1000);
  level.set('error', undefined);
  t.mock.timers.tick(5000);
  assert.equal(log.level, 'error');
  level.set('debug', 1000);
  level.close();
  t.mock.timers.tick(5000);
  assert.equal(log.level, 'debug', 'what is closed does nothing any more');
});
