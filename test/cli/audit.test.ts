/** `opallama audit`: what people and their tools get to see of an audit file. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';

import { Command } from 'commander';

import { createAuditRecorded } from '../../src/audit/sink.ts';
import { registerAudit } from '../../src/cli/audit.ts';
import { csvColumns, toCsvRow } from '../../src/cli/audit-rows.ts';
import { environment } from '../../src/config/environment.ts';
import { auditEvent, createTestFile, decisionJson, recordOne } from '../audit/file-of-test.ts';

const keys = generateKeyPairSync('ed25519');

async function call(...args: readonly string[]): Promise<{ readonly text: string; readonly code: number }> {
  let text = '';
  const program = new Command().exitOverride();
  registerAudit(program, { environment: environment(), write: (part) => (text += part) });
  process.exitCode = 0;
  await program.parseAsync(['node', 'opallama', 'audit', ...args]);
  const code = Number(process.exitCode);
  process.exitCode = 0;
  return { text, code };
}

/** A log of requests of several kinds; one was lost with its process. */
async function writeLog(t: TestContext) {
  const file = createTestFile(t, {
    heads: {
      key: keys.privateKey,
      source: { member: 'key_file', value: '' },
      every: 60_000,
      stdout: false,
      file: undefined,
      url: undefined,
      token: undefined,
      tokenSource: undefined,
    },
  });
  const first = await file.open();
  await recordOne(first, 'done');
  await first.admit?.(() => decisionJson('lost'));
  await first.close();
  const second = await file.open();
  second.write(
    createAuditRecorded(
      auditEvent('denied', {
        time: '2026-06-12T12:00:00.000Z',
        principal: '=cmd|calc',
        model: 'evil\u001b[31m\u2028',
        target: undefined,
        policy_result: 'deny',
        reasons: ['no_guests'],
        status: 403,
        outcome: 'denied',
      }),
    ),
  );
  await second.close();
  writeFileSync(`${file.config.path}.heads`, file.heads.map((line) => `${line}\n`).join(''));
  const keyFile = join(dirname(file.config.path), 'heads.pub.pem');
  writeFileSync(keyFile, keys.publicKey.export({ type: 'spki', format: 'pem' }));
  return { file, path: file.config.path, heads: `${file.config.path}.heads`, keyFile };
}

const idsOf = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line).request_id);

test('query tells of requests as one event each, and of the one that was lost with its process', async (t) => {
  const { path } = await writeLog(t);
  const { text } = await call('query', path, '--format', 'json');
  const events = text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    events.map(({ request_id, outcome, status, input }) => [request_id, outcome, status, input]),
    [
      ['done', 'complete', 200, { version: 1 }],
      ['lost', 'lost', undefined, undefined],
      ['denied', 'denied', 403, { version: 1 }],
    ],
  );
  assert.ok(events.every((event) => !('seq' in event || 'hash' in event)));
});

for (const [filter, ids] of [
  [['--result', 'deny'], ['denied']],
  [
    ['--principal', 'alice'],
    ['done', 'lost'],
  ],
  [['--principal', '=cmd|calc'], ['denied']],
  [['--model', 'tiny', '--outcome', 'complete'], ['done']],
  [['--model', 'evil\u001b[31m\u2028'], ['denied']],
  [['--outcome', 'lost'], ['lost']],
  [['--provider', 'ollama', '--since', '2026-06-12T00:00:00Z'], ['denied']],
  [
    ['--until', '2026-06-12T00:00:00Z'],
    ['done', 'lost'],
  ],
  [['--provider', 'other'], []],
  [['--limit', '1'], ['denied']],
] as const) {
  test(`query ${filter.join(' ').replace(/[^ -~]/g, '?')} tells of ${ids.join(', ') || 'nothing'}`, async (t) => {
    const { path } = await writeLog(t);
    assert.deepEqual(idsOf((await call('query', path, '--format', 'json', ...filter)).text), ids);
    const csv = (await call('query', path, '--format', 'csv', ...filter)).text.split('\r\n').slice(1, -1);
    assert.deepEqual(
      csv.map((row) => row.split('","')[1]),
      ids,
    );
    const table = (await call('query', path, ...filter)).text.split('\n').filter((line) => /^\d{4}-/.test(line));
    assert.equal(table.length, ids.length);
  });
}

test('while a sidecar writes, a request without an end is pending', async (t) => {
  const file = createTestFile(t);
  const sink = await file.open();
  await sink.admit?.(() => decisionJson('flying'));
  const { text } = await call('query', file.config.path, '--format', 'json');
  assert.equal(JSON.parse(text).outcome, 'pending');
  await sink.close();
});

test('a table has a row for each, and no character that a terminal takes for a command', async (t) => {
  const { path } = await writeLog(t);
  const { text } = await call('query', path);
  assert.match(text, /^time +principal +operation/);
  assert.match(text, /alice +chat +tiny +allow +200 +complete/);
  assert.match(text, /evil\\u\{1b\}\[31m\\u\{2028\} +deny \(no_guests\)/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there is none
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028]/);
  assert.match((await call('query', path, '--principal', 'nobody')).text, /No request fits/);
});

test('CSV has a column for each member, and no cell that a spreadsheet takes for a formula', async (t) => {
  const { path } = await writeLog(t);
  const { text } = await call('export', path, '--format', 'csv');
  const [header, ...rows] = text.trimEnd().split('\r\n');
  assert.equal(header, csvColumns.join(','));
  assert.equal(rows.length, 3);
  assert.match(rows[2] ?? '', /"'=cmd\|calc"/);
  assert.ok(!text.includes('\u001b'));
});

for (const cell of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', ' =1', '"=1', 'a;=1', 'a,-1', '＝1', '%0A', '|x'])
  test(`CSV: ${JSON.stringify(cell)} is text`, () => {
    const row = toCsvRow({ time: cell });
    const text = row.slice(1, row.indexOf('",,')).replaceAll('""', '"');
    assert.doesNotMatch(text, /(^|[,;\t\r\n])[\s"]*[=+\-@%|＝]/);
  });

test('CSV: quotes are doubled, and a line end stays in its cell', () => {
  assert.ok(toCsvRow({ time: 'a"b\nc' }).startsWith('"a""b\\u{a}c",'));
  assert.ok(toCsvRow({ time: 'x', status: -5 }).includes(',-5,'));
});

test('export writes all of them as JSON lines, without --limit', async (t) => {
  const { path } = await writeLog(t);
  assert.deepEqual(idsOf((await call('export', path)).text), ['done', 'lost', 'denied']);
});

test('tail shows the last ones', async (t) => {
  const { path } = await writeLog(t);
  assert.deepEqual(idsOf((await call('tail', path, '--format', 'json', '--limit', '2')).text), ['lost', 'denied']);
});

test('verify ends with 0 where all is in order, and says how far heads vouch', async (t) => {
  const { path, heads, keyFile } = await writeLog(t);
  const { text, code } = await call('verify', path, '--heads', heads, '--public-key', keyFile);
  assert.equal(code, 0);
  assert.match(
    text,
    /chain [0-9a-f-]{36}: 10 lines in 1 file, lines 0 to 9; 4 signed heads, the last one of line 9\nin order\n$/,
  );
});

test('verify ends with 1 and names the place of what it found', async (t) => {
  const { path } = await writeLog(t);
  writeFileSync(path, readFileSync(path, 'utf8').replace('"request_id":"lost"', '"request_id":"loot"'));
  const { text, code } = await call('verify', path);
  assert.equal(code, 1);
  assert.match(text, /^changed .*audit\.jsonl:5: line 4 is not what was written/);
  const { text: json } = await call('verify', path, '--format', 'json');
  assert.deepEqual([JSON.parse(json).findings[0].line, JSON.parse(json).findings[0].code], [5, 'changed']);
});

test('verify takes file, heads and key from the configuration', async (t) => {
  const { path } = await writeLog(t);
  const config = join(dirname(path), 'opallama.yaml');
  writeFileSync(join(dirname(path), 'heads.pem'), keys.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(config, 'audit: { file: audit.jsonl, heads: { key_file: heads.pem, file: audit.jsonl.heads } }\n');
  const { text, code } = await call('verify', '--config', config);
  assert.match(text, /4 signed heads/);
  assert.equal(code, 0);
});

for (const [args, message] of [
  [['verify', '/nonexistent/audit.jsonl'], /can't be read \(ENOENT\)/],
  [['verify', '/dev/null', '--heads', '/dev/null'], /--heads needs --public-key/],
  [['verify', '/dev/null', '--public-key', '/dev/null'], /holds no public key of type Ed25519/],
  [
    ['query', '/dev/null', '--since', '2026-06-12T11:00:00Z', '--until', '2026-06-12T11:00:00Z'],
    /--until must be later than --since/,
  ],
  [['export', '/dev/null', '--since', 'yesterday'], /Write a time as in 2026-01-31T22:00:00Z, or 24h/],
  [['export', '/dev/null', '--result', 'denied'], /Allowed choices are allow, deny, error, none/],
  [['export', '/dev/null', '--format', 'table'], /Allowed choices are json, csv/],
  [['query', '--config', 'package.json'], /unknown member|can't be used|name/i],
] as const)
  test(`audit ${args.join(' ')} is a wrong call`, () => assert.rejects(call(...args), message));
