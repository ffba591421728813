/** policies/schemas/decision.json against what decides: both must draw the line at the same place. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { z } from 'zod';

import { forbiddenHeaders, narrow } from '../../src/decision/narrow.ts';

const file = new URL('../../policies/schemas/decision.json', import.meta.url);
const schema = z.fromJSONSchema(JSON.parse(readFileSync(file, 'utf8')));

const reason = { code: 'model_not_allowed', message: 'no' };
const understood: readonly unknown[] = [
  true,
  false,
  {},
  { allow: true },
  { allow: false },
  { allowed: true, allow: false },
  { deny: true },
  { deny: [] },
  { deny: ['a code', 'text for people.', reason, { code: 'x' }] },
  { allow: true, reasons: [reason], own: { helper: 1 } },
  { deny: ['x'], http_status: 400, body: 'text' },
  { deny: ['x'], http_status: 499, body: { error: 1 } },
  { allow: true, headers: { 'X-Tenant': 'blue' }, request_headers_to_remove: ['Accept', ''] },
  { allow: true, response_headers_to_add: { 'x-a': '\tä~' }, dynamic_metadata: { a: [1] }, obligations: {} },
];
const refused: readonly unknown[] = [
  null,
  1,
  'allow',
  [],
  [true],
  { allow: 'true' },
  { allow: 1 },
  { allowed: null },
  { deny: 'x' },
  { deny: {} },
  { deny: [1] },
  { deny: [{}] },
  { deny: [{ code: 'Not A Code' }] },
  { deny: [{ code: 'a'.repeat(65) }] },
  { deny: [{ code: 'a', message: 1 }] },
  { allow: true, reasons: true },
  { allow: true, reasons: 'x' },
  { allow: false, http_status: 200 },
  { allow: false, http_status: 500 },
  { allow: false, http_status: 403.5 },
  { allow: false, http_status: '403' },
  { allow: true, headers: [] },
  { allow: true, headers: { 'x-a': 1 } },
  { allow: true, headers: { 'x a': 'b' } },
  { allow: true, headers: { '': 'b' } },
  { allow: true, headers: { 'x-a': 'b\r\nc: d' } },
  { allow: true, headers: { 'x-a': '\u0100' } },
  { allow: true, request_headers_to_remove: 'accept' },
  { allow: true, request_headers_to_remove: [1] },
  { allow: true, dynamic_metadata: [] },
  { allow: true, obligations: [] },
  { allow: true, obligations: { route: {} } },
  ...[...forbiddenHeaders].flatMap((name) => [
    { allow: true, headers: { [name]: 'x' } },
    { allow: true, response_headers_to_add: { [name.toUpperCase()]: 'x' } },
  ]),
];

for (const result of [...understood, ...refused]) {
  test(`schema and narrowing agree on ${JSON.stringify(result)}`, () => {
    const [first] = narrow([result], { shape: 'allow', beyondDenyList: undefined }).reasons;
    const taken = first?.code !== 'policy_malformed' && first?.code !== 'unknown_obligation';
    assert.equal(taken, understood.includes(result));
    assert.equal(schema.safeParse(result).success, taken);
  });
}
