import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readAuditLine } from '../../src/cli/audit-line.ts';
import { readInputs } from '../../src/cli/inputs.ts';

const audit = (more: object): string => JSON.stringify({ level: 30, event: 'audit', ...more });

test('a document, a list of them and one to a line are read, each with its place', () => {
  assert.deepEqual(readInputs('a.json', '{\n "operation": "chat"\n}'), [
    { place: 'a.json', input: { operation: 'chat' }, erased: [] },
  ]);
  const places = (name: string, text: string) => readInputs(name, text).map(({ place }) => place);
  assert.deepEqual(places('a.json', '[{"x":1},{"x":2}]'), ['a.json[0]', 'a.json[1]']);
  assert.deepEqual(places('a.jsonl', '{"x":1}\n\n{"x":2}\n'), ['a.jsonl:1', 'a.jsonl:3']);
});

test('of the audit log the inputs are read; other lines, and requests that ended before, are passed over', () => {
  const text = [
    '{"level":30,"msg":"listening"}',
    'opallama is ready.',
    audit({ policy_result: 'none', status: 401 }),
    audit({ input: { operation: 'chat', erased: ['messages'] } }),
  ].join('\n');
  assert.deepEqual(readInputs('audit.jsonl', text), [
    { place: 'audit.jsonl:4', input: { operation: 'chat' }, erased: ['messages'] },
  ]);
});

test('so are those of the audit file, of which each request has one', () => {
  const text = [
    '{"seq":0,"prev":"00","event":"open","chain":"x","hash":"00"}',
    '{"seq":1,"prev":"00","event":"decision","principal":"alice","hash":"00"}',
    '{"seq":2,"prev":"00","event":"completion","policy_result":"allow","reasons":[],"input":{"operation":"chat"},"hash":"00"}',
  ];
  const read = readInputs('audit.jsonl', text.join('\n')).map(({ place, input }) => [place, input]);
  assert.deepEqual(read, [['audit.jsonl:3', { operation: 'chat' }]]);
  assert.deepEqual(
    text.map((line) => readAuditLine('a', line, true).kind),
    ['other', 'other', 'decision'],
  );
});

test('what is no document is named with its place', () => {
  assert.throws(() => readInputs('a.json', '[1]'), /a\.json\[0\] is no input document/);
  assert.throws(() => readInputs('a.jsonl', '{"x":1}\n{"x":\n'), /a\.jsonl:2 is not JSON/);
  assert.throws(() => readInputs('a.jsonl', audit({ input: 3 })), /"input" must be a JSON object/);
});
