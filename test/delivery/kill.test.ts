/**
 * A sidecar that is killed while it takes up a policy: `kill -9` of the real command, at random points, many of them aimed at
 * the moment in which the policy is written. `KILLS` says how often (`npm run test:kill`: 100 times).
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { writeReport } from '../../src/policy/bundle-report.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { packBundle } from '../../src/policy/write-bundle.ts';
import { type Running, run } from '../support/running.ts';

const kills = Number(process.env['KILLS'] ?? 8);

/** Two policies whose rules differ as well as their data: a mixture of them is seen. */
const variants = ['a', 'b'] as const;

test('killed at any moment, the next start decides by a whole policy, the old or the new one', async (t) => {
  const makeBundle = await compileVariants();
  const place = await makePlace(t);
  let [old, number] = [0, 0];
  const outcomes = { old: 0, new: 0 };
  place.writeSource(await makeBundle(number));
  let sidecar = await place.start();
  await waitUntilKept(place, sidecar);
  for (let kill = 0; kill < kills; kill += 1) {
    number += 1;
    const bundle = await makeBundle(number);
    const aimed = kill % 2 === 0 ? place.seesWriting() : undefined;
    place.writeSource(bundle);
    sidecar.process.kill('SIGHUP');
    if (aimed === undefined) await sleep(150 + Math.random() * 400);
    else await Promise.race([aimed, sleep(5000)]).then(() => sleep(Math.random() * 6));
    sidecar.process.kill('SIGKILL');
    await once(sidecar.process, 'exit');

    place.removeSource();
    sidecar = await place.start();
    const decided = await ask(sidecar);
    await sidecar.waitFor(/kept from an earlier run decides in its place/);
    assert.ok([old, number].includes(decided), `policy ${decided} decides, neither ${old} nor ${number}`);
    outcomes[decided === number ? 'new' : 'old'] += 1;
    old = decided;
  }
  t.diagnostic(`${kills} kills: ${outcomes.old} starts by the old policy, ${outcomes.new} by the new one`);
});

/** @returns a compiled bundle for a number: its rules, its data and its revision all say it */
async function compileVariants(): Promise<(number: number) => Promise<Uint8Array>> {
  const toolchain = createToolchain({ path: undefined });
  const compiled = await Promise.all(
    variants.map((variant) =>
      toolchain.compile({
        modules: {
          'authz.rego': `package ollama.authz\nallow := true\ndynamic_metadata := {"rules": "${variant}", "data": data.number, "last": data.last}\n`,
        },
        data: { number: 0, last: 0, filler: '' },
        entrypoints: ['ollama/authz'],
      }),
    ),
  ).finally(() => toolchain.close());
  return (number) => {
    const variant = compiled[number % variants.length];
    assert.ok(variant !== undefined);
    const { wasm, inspection } = variant;
    // Does not compress: writing takes a while.
    const data = { number, filler: randomBytes(600_000).toString('base64'), last: number };
    const manifest = {
      revision: `r${number}`,
      roots: [''],
      metadata: { opallama: writeReport(wasm, inspection, 'test') },
    };
    return packBundle(
      new Map([
        ['policy.wasm', wasm],
        ['data.json', Buffer.from(JSON.stringify(data))],
        ['.manifest', Buffer.from(JSON.stringify(manifest))],
      ]),
    );
  };
}

interface Place {
  readonly stateDir: string;
  writeSource(bundle: Uint8Array): void;
  removeSource(): void;
  /** Until something is written where policies are kept. */
  seesWriting(): Promise<void>;
  start(): Promise<Running>;
}

async function makePlace(t: TestContext): Promise<Place> {
  const root = mkdtempSync(join(tmpdir(), 'opallama-kill-'));
  const [source, stateDir, config] = [join(root, 'live.tar.gz'), join(root, 'state'), join(root, 'opallama.yaml')];
  mkdirSync(stateDir);
  writeFileSync(
    config,
    [
      'listen: { data: 127.0.0.1:0, ops: 127.0.0.1:0 }',
      'upstream: { base_url: http://127.0.0.1:9 }',
      `policy: { path: ${source}, state_dir: ${stateDir} }`,
      'identity: { anonymous: { roles: [guest] } }',
    ].join('\n'),
  );
  const started: Running[] = [];
  t.after(() => {
    for (const { process } of started) process.kill('SIGKILL');
    rmSync(root, { recursive: true, maxRetries: 10, force: true });
  });
  return {
    stateDir,
    writeSource(bundle) {
      writeFileSync(`${source}.new`, bundle);
      renameSync(`${source}.new`, source);
    },
    removeSource: () => rmSync(source, { force: true }),
    seesWriting: () =>
      new Promise((resolve) => {
        const watcher = watch(stateDir, () => {
          watcher.close();
          resolve();
        });
      }),
    async start() {
      const sidecar = run(process.execPath, ['bin/opallama.js', 'serve', '--config', config]);
      started.push(sidecar);
      await sidecar.waitFor(/"listener":"ops"/);
      return sidecar;
    },
  };
}

async function waitUntilKept({ seesWriting }: Place, sidecar: Running): Promise<void> {
  await Promise.race([seesWriting(), sleep(2000)]);
  // It is written once the policy decides; what follows waits for nothing else.
  await ask(sidecar);
  await sleep(500);
}

/** @returns the number of the policy that decided, which its rules, its data and its revision agree on */
async function ask(sidecar: Running): Promise<number> {
  const [, port] = await sidecar.waitFor(/"listener":"data".*?"port":(\d+)/);
  await (await fetch(`http://127.0.0.1:${port}/api/tags`)).arrayBuffer();
  const line = await sidecar.waitForLine(/"event":"audit"/);
  const event: unknown = JSON.parse(line);
  assert.ok(typeof event === 'object' && event !== null && 'revision' in event && 'dynamic_metadata' in event);
  const number = Number(/^r(\d+)$/.exec(String(event.revision))?.[1]);
  assert.deepEqual(event.dynamic_metadata, { rules: variants[number % 2], data: number, last: number });
  return number;
}
