/** A machine that runs out of disk or descriptors, or whose clock jumps. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import jwt from 'jsonwebtoken';

import { ask, chatOf, startCaller } from './ask.ts';
import { bestOf, hold } from './figures.ts';
import { answerWhole, beginStream, frame, open, rawChat, startHard, startScripted, until } from './harness.ts';

const exec = promisify(execFile);
/** Root in a container may not be allowed to either. */
const mayMount = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;

test('a full disk stops what strict audit must not let pass, and nothing else; it goes on when there is room', {
  skip: !mayMount && 'a small file system can only be mounted by root, where that is allowed',
}, async (t) => {
  let reached = 0;
  const upstream = await startScripted(t, (response, body) => {
    if (body['model'] !== undefined) reached += 1;
    answerWhole(response);
  });
  let disk = '';
  const sidecar = await startHard(t, {
    upstream,
    config: { audit: { file: 'disk/audit.jsonl', durability: 'strict' } },
    async prepare(directory) {
      disk = join(directory, 'disk');
      await exec('mkdir', ['-m', '700', disk]);
      await exec('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=700', 'tmpfs', disk]);
      t.after(() => spawnSync('umount', ['-l', disk]));
    },
  });
  const caller = startCaller(t);
  assert.equal(await ask(sidecar.port), 200);
  const ballast = join(disk, 'ballast');
  await writeFile(ballast, Buffer.alloc(2 << 20)).catch(() => undefined);
  await until('requests are refused', async () => (await ask(sidecar.port)) === 503, 20_000);
  const before = reached;
  const refusal = await bestOf(t, 50, async () => {
    const { times, statuses } = await caller.carryOut({ port: sidecar.port, count: 50, atOnce: 1 });
    assert.deepEqual(statuses, { 503: 50 });
    return times.at(-1) ?? Number.NaN;
  });
  const unwritten = reached - before;
  assert.equal((await fetch(`http://127.0.0.1:${sidecar.opsPort}/healthz`)).status, 200);
  await rm(ballast);
  const roomMs = performance.now();
  await until('requests pass again', async () => (await ask(sidecar.port)) === 200, 20_000);
  const backMs = performance.now() - roomMs;
  const script = new URL('../../bin/opallama.js', import.meta.url).pathname;
  await sleep(200);
  const verify = [script, 'audit', 'verify', join(disk, 'audit.jsonl')];
  // Fails where the chain does not hold.
  const { stdout } = await exec(process.execPath, verify);
  t.diagnostic(`audit verify: ${stdout.trim().split('\n').at(-1)}`);
  hold(t, [
    { what: 'full disk, strict audit: longest refusal', value: refusal, limit: 50, unit: 'ms' },
    { what: 'full disk: requests that reached the upstream without their line', value: unwritten, limit: 0, unit: '' },
    { what: 'full disk: from room on it to the first request that passes', value: backMs, limit: 5000, unit: 'ms' },
  ]);
});

test('descriptors that run out cost those who come too late, and nobody once they are free again', async (t) => {
  const upstream = await startScripted(t, answerWhole);
  const sidecar = await startHard(t, { upstream, shell: 'ulimit -n 160' });
  assert.equal(await ask(sidecar.port), 200);
  const before = await sidecar.descriptors();
  const idle = await Promise.all(Array.from({ length: 400 }, () => open(sidecar.port)));
  await sleep(500);
  t.diagnostic(`descriptors at the limit: ${await sidecar.descriptors()} of 160, ${before} before`);
  const refused = await Promise.race([ask(sidecar.port).catch(() => 0), sleep(2000, -1)]);
  t.diagnostic(
    `what a request sees meanwhile: ${refused === 200 ? 'served' : refused === -1 ? 'no answer for 2 s' : refused || 'closed'}`,
  );
  for (const socket of idle) socket.destroy();
  const freeMs = performance.now();
  await until('requests pass again', async () => (await ask(sidecar.port).catch(() => 0)) === 200, 20_000);
  const backMs = performance.now() - freeMs;
  await until('they are given back', async () => (await sidecar.descriptors()) <= before + 8, 20_000);
  const kept = Math.max(0, (await sidecar.descriptors()) - before);
  assert.doesNotMatch(sidecar.stderr(), /unhandled|uncaught/i);
  hold(t, [
    {
      what: 'descriptors used up: from free ones to the first request that passes',
      value: backMs,
      limit: 2000,
      unit: 'ms',
    },
    { what: 'descriptors used up: kept behind it', value: kept, limit: 8, unit: '' },
  ]);
});

const secret = 'a-secret-of-the-hardship-tests-that-is-long-enough';
const noCompiler = spawnSync('cc', ['--version']).error !== undefined;

test('a clock that jumps by hours cuts nothing, and makes no token valid for longer than it says', {
  skip: noCompiler && 'what moves the clock is built by cc, which is not there',
}, async (t) => {
  let end: (() => void) | undefined;
  const upstream = await startScripted(t, (response, body) => {
    if (body['stream'] !== true) return answerWhole(response);
    beginStream(response);
    const ticks = setInterval(() => response.write(frame), 50);
    end = () => {
      clearInterval(ticks);
      response.end('{"done":true,"prompt_eval_count":1,"eval_count":1}\n');
    };
  });
  const directory = await mkdtemp(join(tmpdir(), 'opallama-clock-'));
  t.after(() => rm(directory, { recursive: true, maxRetries: 10 }));
  const [library, clock] = [join(directory, 'clock.so'), join(directory, 'offset')];
  const source = fileURLToPath(new URL('clock.c', import.meta.url));
  await exec('cc', ['-shared', '-fPIC', '-O1', '-o', library, source]);
  await writeFile(clock, Buffer.alloc(8));
  /** In place: the sidecar sees the file as memory. */
  const jump = async (seconds: number): Promise<void> => {
    const offset = Buffer.alloc(8);
    offset.writeBigInt64LE(BigInt(seconds));
    await writeFile(clock, offset, { flag: 'r+' });
  };
  const sidecar = await startHard(t, {
    upstream,
    config: {
      identity: {
        jwt: [{ algorithm: 'HS256', secret_env: 'HARD_SECRET', issuer: 'https://id.example', audience: 'opallama' }],
      },
      timeouts: { idle: '5s', first_byte: '5s' },
    },
    env: {
      HARD_SECRET: secret,
      LD_PRELOAD: library,
      HARD_CLOCK: clock,
    },
  });
  const token = jwt.sign({ sub: 'alice', roles: ['guest'] }, secret, {
    issuer: 'https://id.example',
    audience: 'opallama',
    expiresIn: '30m',
  });
  const chat = async (): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` };
    const response = await sidecar.fetch('/api/chat', { method: 'POST', headers, body: chatOf('tiny') });
    await response.arrayBuffer();
    return response.status;
  };
  assert.equal(await chat(), 200);
  const client = await open(sidecar.port);
  let text = '';
  client.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
  });
  client.write(rawChat('tiny', true).replace('\r\n\r\n', `\r\nAuthorization: Bearer ${token}\r\n\r\n`));
  await until('it streams', () => text.includes('"done":false'));
  const frames = (): number => text.split('"done":false').length;
  const statuses: Record<string, number> = {};
  for (const hours of [1, -2, 0]) {
    await jump(hours * 3600);
    await sleep(1000);
    statuses[hours] = await chat();
    const before = frames();
    await sleep(300);
    assert.ok(frames() > before, `the stream goes on at ${hours} h`);
  }
  end?.();
  await until('it ends whole', () => text.endsWith('0\r\n\r\n'));
  client.destroy();
  t.diagnostic(`an hour ahead: ${statuses[1]}, two hours behind: ${statuses[-2]}, right again: ${statuses[0]}`);
  // The token lasts for half an hour.
  assert.deepEqual([statuses[1], statuses[0]], [401, 200]);
  hold(t, [
    {
      what: 'clock jumps by hours: streams of 1 that are cut',
      value: text.includes('"error"') ? 1 : 0,
      limit: 0,
      unit: '',
    },
  ]);
});
