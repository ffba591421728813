/** The bench works: short measurements, whose values say nothing, of everything but starts. */
import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { isMet, render } from '../../bench/figures.ts';
import { measureAll } from '../../bench/measure/all.ts';
import { compareGateways, renderComparison } from '../../bench/measure/gateways.ts';
import { bareProxy, sidecar } from '../../bench/peers/gateways/ours.ts';
import { withDirectory } from '../../bench/peers/sidecar-home.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';

const toolchain = createToolchain({ path: process.env['PATH'] });
const skip =
  toolchain.kind === 'none' && 'neither opa/build/opa.wasm nor an opa on the PATH is here to compile the policy with';

const tiny = {
  warmUpMs: 20,
  // What is measured while nobody asks is subtracted: a moment alone could be all that a busy machine charged.
  idleMs: 300,
  requestRounds: 3,
  requestMs: 50,
  streamRounds: 3,
  streams: 4,
  frames: 25,
  settlingRounds: 0,
  firstTokenRounds: 1,
  firstTokenMs: 20,
  profileMs: 200,
  starts: 0,
  decisionMs: 20,
};

test('a short bench measures every way, compares the sidecar with the bare proxy, and prints ratios, aims and parts', {
  skip,
  timeout: 240_000,
}, async () => {
  const measured = await withDirectory(async (directory) => {
    await using auditLog = await open(join(directory, 'audit.jsonl'), 'w');
    return await measureAll(tiny, { directory, auditFd: auditLog.fd });
  });

  for (const name of ['CPU of a request', 'CPU of a frame, /api/chat', 'CPU of a frame, /v1 with usage hidden']) {
    const figure = measured.figures.find((each) => each.name === name);
    assert.ok(figure?.ratio !== undefined && figure.ratio > 0, `${name} has a ratio`);
    assert.equal(typeof isMet(figure), 'boolean', `${name} has an aim`);
  }
  for (const { name, sidecar } of measured.figures) assert.ok(Number.isFinite(sidecar), `${name} was measured`);
  assert.ok(
    measured.parts[0]?.parts.some(({ part, sidecar }) => part.startsWith('src/') && sidecar > 0),
    'time is charged to the folders of src',
  );
  const results = { node: 'v26', platform: 'linux', cpus: '2', quick: true, ...measured };
  assert.match(render(results), /CPU of a request +[\d.]+ +[\d.]+ +µs +[\d.]+ +<= 1\.1x +(met|MISSED)/);
});

test('gateways are asked for answers and for streams in one run, and make a table', {
  skip,
  timeout: 240_000,
}, async () => {
  const table = await withDirectory(async (directory) => {
    await using auditLog = await open(join(directory, 'audit.jsonl'), 'w');
    const plan = { rounds: 1, roundMs: 50, warmUpMs: 20, wakeMs: 20, frames: 5, makeDirectory: async () => directory };
    return renderComparison(await compareGateways([bareProxy, sidecar(auditLog.fd)], plan));
  });
  const [, , bare = '', ours = ''] = table.split('\n');
  assert.match(
    bare,
    /^\| http-proxy-middleware \| [\d.]+, Express [\d.]+ \| passes on \| \d+ \| 1\.00 \| \d+ \| [\d.]+ \| \d+ \|$/,
  );
  assert.match(ours, /^\| opallama \| [\d.]+ \| [^|]+ \| \d+ \| [\d.]+ \| \d+ \| [\d.]+ \| \d+ \|$/);
});

test('an aim is met at its limit and missed beyond it, by ratio or by value', () => {
  const byRatio = { name: 'a', unit: 'µs', sidecar: 200, aim: { of: 'ratio', limit: 1.6 } } as const;
  assert.equal(isMet({ ...byRatio, ratio: 1.6 }), true);
  assert.equal(isMet({ ...byRatio, ratio: 1.61 }), false);
  assert.equal(isMet({ name: 'b', unit: 's', sidecar: 3, aim: { of: 'value', limit: 3 } }), true);
  assert.equal(
    isMet({ name: 'c', unit: 's', sidecar: Number.NaN, aim: { of: 'value', limit: 3 } }),
    false,
    'not measured is not met',
  );
  assert.equal(isMet({ name: 'd', unit: 's', sidecar: 3 }), undefined);
});
