import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { z } from 'zod';
import { duration, size } from '../../src/config/fields.ts';
import { describeConfigSchema } from '../../src/config/schema.ts';

test('docs/schemas/config.json is what the schema says', () => {
  const file: unknown = JSON.parse(readFileSync(new URL('../../docs/schemas/config.json', import.meta.url), 'utf8'));
  const schema: unknown = JSON.parse(JSON.stringify(describeConfigSchema()));
  assert.deepEqual(file, schema, 'run: node scripts/write-config-schema.ts && npx biome check --write docs/schemas');
});

for (const [name, field, values] of [
  [
    'durations',
    duration,
    ['5s', '0s', '1.5h', '10ms', '2m', '0', 0, '5', 5, 1.5, '', 's', '5 s', '5S', '5d', '-5s', '1e3s', '.5s', '5.s'],
  ],
  [
    'sizes',
    size,
    [
      '32MiB',
      '1 KiB',
      '16KB',
      '1.5GiB',
      '7',
      '7B',
      7,
      0,
      -1,
      '',
      'MiB',
      '32mib',
      '32M',
      '-1KiB',
      '1  KB',
      '1TiB',
      '1iB',
    ],
  ],
] as const) {
  test(`editors and Helm refuse the ${name} that the sidecar refuses, and no others`, () => {
    const { pattern = '', minimum = 0, maximum = Number.POSITIVE_INFINITY } = z.toJSONSchema(field(), { io: 'input' });
    for (const value of values) {
      const fits = typeof value === 'number' ? value >= minimum && value <= maximum : new RegExp(pattern).test(value);
      assert.equal(fits, field().safeParse(value).success, String(value));
    }
  });
}
