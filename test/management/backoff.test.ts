import assert from 'node:assert/strict';
import { test } from 'node:test';

import { backOff } from '../../src/management/backoff.ts';

test('pauses grow from a tenth of a second to the longest that is configured, and no two are alike', () => {
  const pauses = Array.from({ length: 60 }, (_, failures) => backOff(failures + 1, 10_000));
  assert.ok((pauses[0] ?? 0) >= 80 && (pauses[0] ?? 0) <= 120);
  for (const pause of pauses) assert.ok(pause <= 12_000);
  for (const pause of pauses.slice(12)) assert.ok(pause >= 8000);
  assert.ok(new Set(pauses).size > 50);
});
