/** A machine that runs out of disk or descriptors, or whose clock jumps. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import jwt from 'jsonwebtoken';

import {
  answerWhole,
  ask,
  beginStream,
  chatOf,
  figure,
  frame,
  open,
  rawChat,
  startHard,
  startScripted,
  until,
} from './harness.ts';

const exec = promisify(execFile);
const isRoot = process.getuid?.() === 0;

test('a full disk stops what strict audit must not let pass, and nothing else; it goes on when there is room', {
  skip: !isRoot && 'a small file system can only be mounted by root',
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
  assert.equal(await ask(sidecar.port), 200);
  const ballast = join(disk, 'ballast');
  await writeFile(ballast, Buffer.alloc(2 << 20)).catch(() => undefined);
  await until('requests are refused', async () => (await ask(sidecar.port)) === 503, 20_000);
  const before = reached;
  const began = performance.now();
  for (let i = 0; i < 50; i += 1) assert.equal(await ask(sidecar.port), 503);
  figure(t, 'a refusal while the disk is full', (performance.now() - began) / 50, 100, 'ms');
  figure(t, 'requests that reached the upstream without their line', reached - before, 0, '');
  assert.equal((await fetch(`http://127.0.0.1:${sidecar.opsPort}/healthz`)).status, 200);
  await rm(ballast);
  const roomMs = performance.now();
  await until('requests pass again', async () => (await ask(sidecar.port)) === 200, 20_000);
  figure(t, 'from room on the disk to the first request that passes', performance.now() - roomMs, 5000, 'ms');
  const script = new URL('../../bin/opallama.js', import.meta.url).pathname;
  await sleep(200);
  const verified = await exec(process.execPath, [script, 'audit', 'verify', join(disk, 'audit.jsonl')]).catch(
    (error) => error,
  );
  t.diagnostic(
    `audit verify: ${String(verified.stdout ?? verified)
      .trim()
      .split('\n')
      .at(-1)}`,
  );
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
  figure(t, 'from free descriptors to the first request that passes', performance.now() - freeMs, 2000, 'ms');
  await until('they are given back', async () => (await sidecar.descriptors()) <= before + 8, 20_000);
  assert.doesNotMatch(sidecar.stderr(), /unhandled|uncaught/i);
});

const secret = 'a-secret-of-the-hardship-tests-that-is-long-enough';
const fakeTime = readdirSync('/usr/lib', { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name.includes('linux-gnu'))
  .map(({ name }) => `/usr/lib/${name}/faketime/libfaketime.so.1`)
  .find((file) => spawnSync('test', ['-f', file]).status === 0);

test('a clock that jumps by hours cuts nothing, and makes no token valid for longer than it says', {
  skip: fakeTime === undefined && 'libfaketime is not installed (apt-get install faketime)',
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
  let clock = '';
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
      LD_PRELOAD: fakeTime ?? '',
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_TIMESTAMP_FILE: 'clock',
    },
    async prepare(directory) {
      clock = join(directory, 'clock');
      await writeFile(clock, '+0\n');
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
  for (const jump of ['+1h', '-2h', '+0']) {
    await writeFile(clock, `${jump}\n`);
    await sleep(1000);
    statuses[jump] = await chat();
    const before = frames();
    await sleep(300);
    assert.ok(frames() > before, `the stream goes on at ${jump}`);
  }
  end?.();
  await until('it ends whole', () => text.endsWith('0\r\n\r\n'));
  client.destroy();
  // Before it was issued a token is not valid either, where the clock says so.
  assert.deepEqual([statuses['+1h'], statuses['+0']], [401, 200]);
  t.diagnostic(
    `an hour ahead: ${statuses['+1h']}, two hours behind: ${statuses['-2h']}, right again: ${statuses['+0']}`,
  );
  figure(t, 'streams that were cut', text.includes('"error"') ? 1 : 0, 0, 'of 1');
  assert.equal((await readFile(`/proc/${sidecar.pid}/status`, 'utf8')).includes('State'), true);
});
