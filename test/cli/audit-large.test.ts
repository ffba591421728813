/** A log that is larger than the memory that reading it takes. `AUDIT_MB` says how large it is; 60 by default. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { sealAll } from '../../src/audit/file/group.ts';
import { type Link, origin } from '../../src/audit/file/seal.ts';
import { root } from './command.ts';

const megabytes = Number(process.env['AUDIT_MB'] ?? 60);
/** Beside what the same call takes for a log of a few lines. */
const mostGrowth = 90;

/** @returns how many requests it has */
function writeLog(path: string, size: number): number {
  const file = openSync(path, 'w');
  let requests = 0;
  let written = 0;
  const opened = sealAll(origin, [
    { event: 'open', json: '{"time":"2026-06-12T10:00:00.000Z","chain":"c","reason":"start"}' },
  ]);
  writeSync(file, opened.bytes);
  let link: Link = opened.link;
  do {
    const lines = Array.from({ length: 100 }, () => {
      requests += 1;
      const time = new Date(Date.UTC(2026, 5, 12) + requests).toISOString();
      const asked = {
        time,
        request_id: `r${requests}`,
        decision_id: `d${requests}`,
        principal: 'alice',
        policy_result: 'allow',
      };
      const input = { version: 1, filler: 'x'.repeat(1800) };
      return [
        { event: 'decision', json: JSON.stringify(asked) },
        { event: 'completion', json: JSON.stringify({ ...asked, outcome: 'complete', input }) },
      ];
    }).flat();
    const sealed = sealAll(link, lines);
    link = sealed.link;
    written += writeSync(file, sealed.bytes);
  } while (written < size);
  closeSync(file);
  return requests;
}

/** Reads slowly, as `less` or a network does. @returns lines of its output, and the most memory that it took, MB */
async function call(args: readonly string[]): Promise<{ readonly lines: number; readonly peak: number }> {
  const tell = "process.on('exit',()=>process.stderr.write('peak='+process.resourceUsage().maxRSS))";
  const child = spawn(process.execPath, [
    `--import=data:text/javascript,${encodeURIComponent(tell)}`,
    join(root, 'bin/opallama.js'),
    'audit',
    ...args,
  ]);
  let [lines, said] = [0, ''];
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(child, 'close');
  for await (const chunk of child.stdout) {
    if (Buffer.isBuffer(chunk)) for (const byte of chunk) if (byte === 0x0a) lines += 1;
    await sleep(1);
  }
  await ended;
  const [, peak] = /peak=(\d+)/.exec(said) ?? assert.fail(said);
  return { lines, peak: Number(peak) / 1024 };
}

test('a large log is queried, exported and verified in little memory, also for a slow reader', async (t: TestContext) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-large-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10, force: true }));
  const [small, large] = [join(directory, 'small.jsonl'), join(directory, 'large.jsonl')];
  writeLog(small, 1);
  const requests = writeLog(large, megabytes * 1e6);
  for (const [args, lines] of [
    [['export', large], requests],
    [['export', large, '--format', 'csv'], requests + 1],
    [['query', large, '--format', 'json', '--principal', 'alice'], 100],
    [['verify', large], 3],
  ] as const) {
    const [base, taken] = [await call(args.map((arg) => (arg === large ? small : arg))), await call(args)];
    t.diagnostic(
      `${args[0]} of ${megabytes} MB: ${taken.peak.toFixed(0)} MB, of a few lines ${base.peak.toFixed(0)} MB`,
    );
    assert.equal(taken.lines, lines, args.join(' '));
    assert.ok(
      taken.peak - base.peak < mostGrowth,
      `${args.join(' ')}: ${taken.peak} MB, of a few lines ${base.peak} MB`,
    );
  }
});

test('a large log is followed in little memory, and a reader that does not read is waited for', async (t: TestContext) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-follow-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10, force: true }));
  const followed = join(directory, 'followed.jsonl');
  const requests = writeLog(followed, megabytes * 1e6);
  const child = spawn(
    process.execPath,
    [join(root, 'bin/opallama.js'), 'audit', 'tail', followed, '--follow', '--format', 'json', '--limit', '5'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.after(() => child.kill());
  let lines = 0;
  const read = (chunk: Buffer): void => {
    for (const byte of chunk) if (byte === 0x0a) lines += 1;
  };
  const until = async (count: number): Promise<void> => {
    for (const end = Date.now() + 60_000; lines < count; await sleep(20))
      assert.ok(Date.now() < end, `${lines} of ${count} lines`);
  };
  child.stdout.on('data', read);
  await until(5);
  assert.equal(lines, 5);
  const first = peakOf(child.pid);
  child.stdout.off('data', read).pause();
  appendFileSync(followed, readFileSync(followed));
  // As long as it would take to read all of it.
  await sleep(2000);
  const unread = peakOf(child.pid);
  child.stdout.on('data', read).resume();
  await until(5 + requests);
  t.diagnostic(`followed ${megabytes} MB: ${first.toFixed(0)} MB, with as much unread ${unread.toFixed(0)} MB`);
  // What any of these calls takes for a log of a few lines, and as much more as the others.
  const most = 110 + mostGrowth;
  assert.ok(unread < most && peakOf(child.pid) < most, `${first} MB, then ${unread} MB`);
});

/** The most memory that a process has taken, MB. */
function peakOf(pid: number | undefined): number {
  return Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
