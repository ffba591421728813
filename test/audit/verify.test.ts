/** Whatever is done to an audit log afterwards is found, with its place. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';

import { sealAll } from '../../src/audit/file/group.ts';
import { origin } from '../../src/audit/file/seal.ts';
import { listClosed } from '../../src/audit/file/segments.ts';
import { type VerifyQuestion, verifyLog } from '../../src/audit/file/verify.ts';
import type { AuditFileConfig } from '../../src/configured/audit.ts';
import { createTestFile, recordOne, type TestFile } from './file-of-test.ts';

const keys = generateKeyPairSync('ed25519');
const heads: AuditFileConfig['heads'] = {
  key: keys.privateKey,
  source: { member: 'key_file', value: 'heads.pem' },
  every: 60_000,
  stdout: false,
  file: undefined,
  url: undefined,
  token: undefined,
  tokenSource: undefined,
};

/** A log of some requests over two runs, with heads at each start and end. */
async function writeLog(t: TestContext, over: Partial<AuditFileConfig> = {}): Promise<TestFile> {
  const file = createTestFile(t, { heads, ...over });
  for (const run of ['a', 'b']) {
    const sink = await file.open();
    for (let at = 0; at < 5; at += 1) await recordOne(sink, `${run}${at}`);
    await sink.close();
  }
  return file;
}

async function verify(file: TestFile, over: Partial<VerifyQuestion> = {}) {
  const { path } = file.config;
  const headsFile = `${path}.heads`;
  writeFileSync(headsFile, file.heads.map((line) => `${line}\n`).join(''));
  const files = [...listClosed(path).map((segment) => segment.path), path];
  const result = await verifyLog({ files, key: keys.publicKey, heads: headsFile, allowOtherChains: false, ...over });
  const found = result.findings.map(({ code, file: at, line, seq }) => [code, at.slice(path.length - 5), line, seq]);
  return { ...result, found };
}

const linesOf = (path: string) => readFileSync(path, 'utf8').split('\n').slice(0, -1);
const writeLines = (path: string, lines: readonly string[]) =>
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''));

/** The log as one who knows the format would make it anew, from one line on. */
function forge(path: string, from: number, change: (line: string) => string): void {
  let link = origin;
  const forged = linesOf(path).map((line, at) => {
    const { seq: _seq, prev: _prev, hash: _hash, event, ...rest } = JSON.parse(line);
    const json = JSON.stringify(rest);
    const made = sealAll(link, [{ event, json: at < from ? json : change(json) }]);
    link = at < from ? { seq: at, hash: JSON.parse(line).hash } : made.link;
    return at < from ? line : made.bytes.toString().trimEnd();
  });
  writeLines(path, forged);
}

test('a log that nobody touched is in order, and its heads vouch for it', async (t) => {
  const file = await writeLog(t);
  const result = await verify(file);
  assert.deepEqual(result.found, []);
  assert.deepEqual([result.firstSeq, result.lines, result.heads], [0, 26, 4]);
  assert.equal(result.vouchedSeq, result.lastSeq);
  assert.deepEqual(result.notes, []);
});

test('so is one of several files', async (t) => {
  const file = await writeLog(t, { rotate: { size: 3000, every: 0 } });
  const result = await verify(file);
  assert.ok(listClosed(file.config.path).length > 1);
  assert.deepEqual(result.found, []);
  assert.equal(result.vouchedSeq, result.lastSeq);
});

test('a changed byte is found at its line, whichever byte it is', async (t) => {
  const file = await writeLog(t);
  const { path } = file.config;
  const bytes = readFileSync(path);
  const [start, end] = [bytes.indexOf('{"seq":7,'), bytes.indexOf('{"seq":8,')];
  for (let at = start; at < end; at += 1) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    writeFileSync(path, changed);
    const { found } = await verify(file, { key: undefined, heads: undefined });
    assert.ok(found.length > 0, `byte ${at - start}`);
    // The line's end joins it with the next one.
    assert.deepEqual(found[0]?.slice(2), [8, 7], `byte ${at - start}: ${JSON.stringify(found)}`);
    if (at < end - 1) assert.equal(found.length, 1, `byte ${at - start}: ${JSON.stringify(found)}`);
  }
});

test('a byte that reads the same in Unicode is a changed byte', async (t) => {
  const file = createTestFile(t);
  const sink = await file.open();
  await recordOne(sink, '\ufffd');
  await sink.close();
  const bytes = readFileSync(file.config.path);
  const at = bytes.indexOf(Buffer.from('\ufffd'));
  writeFileSync(file.config.path, Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff]), bytes.subarray(at + 3)]));
  const { found } = await verify(file, { key: undefined, heads: undefined });
  assert.deepEqual(found, [['changed', 'jsonl', 2, 1]]);
});

test('a missing line is found at the line that should follow it', async (t) => {
  const file = await writeLog(t);
  const lines = linesOf(file.config.path);
  writeLines(file.config.path, lines.toSpliced(7, 2));
  const { found, findings } = await verify(file, { key: undefined, heads: undefined });
  assert.deepEqual(found, [['missing', 'jsonl', 8, 9]]);
  assert.match(findings[0]?.message ?? '', /lines 7 to 8 are missing before this one/);
});

test('lines that changed places are found', async (t) => {
  const file = await writeLog(t);
  const lines = linesOf(file.config.path);
  const [a = '', b = ''] = lines.slice(7, 9);
  writeLines(file.config.path, lines.toSpliced(7, 2, b, a));
  const { found } = await verify(file);
  assert.deepEqual(found.map(([code]) => code).slice(0, 2), ['missing', 'out_of_order']);
});

test('a line that was made anew with its hash is found where the next one does not follow it', async (t) => {
  const file = await writeLog(t);
  const lines = linesOf(file.config.path);
  forge(file.config.path, 7, (json) => json.replace('alice', 'mallory'));
  writeLines(file.config.path, linesOf(file.config.path).toSpliced(8, Number.POSITIVE_INFINITY, ...lines.slice(8)));
  const { found } = await verify(file, { key: undefined, heads: undefined });
  assert.deepEqual(found, [['rewritten', 'jsonl', 9, 8]]);
});

test('a tail that was cut off does not show in the chain, and is found by the heads', async (t) => {
  const file = await writeLog(t);
  const lines = linesOf(file.config.path);
  writeLines(file.config.path, lines.slice(0, 20));
  assert.deepEqual((await verify(file, { key: undefined, heads: undefined })).found, []);
  const { found, findings } = await verify(file);
  assert.deepEqual(found, [['cut', 'jsonl', 20, 19]]);
  assert.match(findings[0]?.message ?? '', /lines 20 to 25 are missing at the end: line 25 was signed at 20/);
});

test('a file that was cut off at its end is found, where the log goes on in the next one', async (t) => {
  const file = await writeLog(t, { rotate: { size: 3000, every: 0 } });
  const [first] = listClosed(file.config.path);
  assert.ok(first !== undefined);
  const lines = linesOf(first.path);
  writeLines(first.path, lines.slice(0, -1));
  const { findings } = await verify(file);
  assert.deepEqual(
    findings.map(({ code, line }) => [code, line]),
    [['missing', 1]],
  );
});

test('a log that was made anew from a line on is found between the heads around it', async (t) => {
  const file = await writeLog(t);
  forge(file.config.path, 16, (json) => json.replace('alice', 'mallory'));
  assert.deepEqual((await verify(file, { key: undefined, heads: undefined })).found, []);
  const { findings } = await verify(file);
  assert.deepEqual(
    findings.map(({ code, line, seq }) => [code, line, seq]),
    [['rewritten', 26, 25]],
  );
  assert.match(findings[0]?.message ?? '', /behind line 13 up to it lines were made anew/);
});

test('a log that was made anew as a whole, with a chain of its own, is found by heads of the one that it was', async (t) => {
  const file = await writeLog(t);
  forge(file.config.path, 0, (json) =>
    json.replace(/"chain":"[^"]*"/g, '"chain":"00000000-0000-4000-8000-000000000000"').replace('alice', 'mallory'),
  );
  const { findings } = await verify(file);
  assert.equal(findings.at(-1)?.code, 'other_chain');
  assert.match(findings.at(-1)?.message ?? '', /heads vouch for another log, chain .* up to its line 25/);
  // Without the second sink, by the heads that stand in it.
  assert.deepEqual(
    (await verify(file, { heads: undefined })).findings.map(({ code }) => code),
    ['forged_head', 'forged_head'],
  );
});

test('a log that was made anew as a whole under its own name is found by its first head behind it', async (t) => {
  const file = await writeLog(t);
  forge(file.config.path, 0, (json) => json.replace('alice', 'mallory'));
  const { findings } = await verify(file);
  assert.deepEqual(
    findings.map(({ code, seq }) => [code, seq]),
    [['rewritten', 12]],
  );
  assert.match(findings[0]?.message ?? '', /behind line 0 up to it/);
});

test('a head that somebody else signed counts for nothing', async (t) => {
  const file = await writeLog(t);
  const { found } = await verify(file, { key: generateKeyPairSync('ed25519').publicKey });
  assert.ok(found.length > 0);
  assert.ok(found.every(([code]) => code === 'forged_head' || code === 'cut'));
});

test('heads that were taken away are missed', async (t) => {
  const file = await writeLog(t);
  const empty = `${file.config.path}.none`;
  writeFileSync(empty, '');
  const { findings } = await verify(file, { heads: empty });
  assert.deepEqual(
    findings.map(({ code, file: at }) => [code, at]),
    [['cut', empty]],
  );
});

test('heads of several sidecars in one file are no finding where that is said', async (t) => {
  const [mine, other] = [await writeLog(t), await writeLog(t)];
  const all = `${mine.config.path}.all`;
  writeLines(all, [...other.heads, 'another line of standard output', ...mine.heads]);
  assert.deepEqual(
    (await verify(mine, { heads: all })).findings.map(({ code }) => code),
    ['other_chain'],
  );
  assert.deepEqual((await verify(mine, { heads: all, allowOtherChains: true })).found, []);
});

test('what retention deleted is not missed, and what somebody else deleted is', async (t) => {
  const file = createTestFile(t, { heads, rotate: { size: 2000, every: 0 }, keep: { forMs: 0, bytes: 8000 } });
  const sink = await file.open();
  for (let at = 0; at < 25; at += 1) await recordOne(sink, `r${at}`);
  await sink.close();
  const closed = listClosed(file.config.path);
  const [first, second] = closed;
  assert.ok(first !== undefined && second !== undefined && first.firstSeq > 0);
  assert.deepEqual((await verify(file)).found, []);
  rmSync(first.path);
  const { findings } = await verify(file);
  assert.deepEqual(
    findings.map(({ code, seq }) => [code, seq]),
    [['missing', second.firstSeq]],
  );
});

test('a last line without an end is no finding: a crash leaves one, and the next start cuts it off', async (t) => {
  const file = await writeLog(t);
  appendFileSync(file.config.path, '{"seq":26,"prev":"0');
  const torn = await verify(file);
  assert.deepEqual(torn.found, []);
  assert.match(torn.notes.join(), /27: the last line has no end/);
  await (await file.open()).close();
  assert.deepEqual((await verify(file)).found, []);
});

test('lines that the next start found damaged and cut off are a finding', async (t) => {
  const file = await writeLog(t);
  const lines = linesOf(file.config.path);
  writeLines(file.config.path, [...lines.slice(0, -1), (lines.at(-1) ?? '').replace('"close"', '"klose"')]);
  await (await file.open()).close();
  const { findings } = await verify(file);
  assert.deepEqual(
    findings.map(({ code, seq }) => [code, seq]),
    [
      ['rewritten', 25],
      ['damaged', 25],
    ],
  );
});

test('an empty file is no log', async (t) => {
  const file = createTestFile(t);
  writeFileSync(file.config.path, '');
  assert.deepEqual((await verify(file, { key: undefined, heads: undefined })).found[0]?.[0], 'empty');
});
