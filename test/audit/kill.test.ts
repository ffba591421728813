/**
 * A sidecar with `durability: strict` that is killed under load: `kill -9` of the real command, at random moments, also
 * while it starts and while it puts a file aside. Whatever reached the upstream has its line, and the chain is whole.
 * `KILLS` says how often (`npm run test:audit-kill`: 200 times).
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { eachLine } from '../../src/audit/file/each-line.ts';
import { listFiles, readRequests } from '../../src/audit/file/requests.ts';
import { verifyLog } from '../../src/audit/file/verify.ts';
import { writeReport } from '../../src/policy/bundle-report.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { packBundle } from '../../src/policy/write-bundle.ts';
import { type Running, run } from '../support/running.ts';

const kills = Number(process.env['KILLS'] ?? 4);
const clients = 8;

test('killed at any moment under load, nothing reached the upstream without its line, and the chain is whole', async (t) => {
  const place = await makePlace(t);
  const seen = await startUpstream(t);
  writeFileSync(place.config, place.describe(seen.port));
  const recorded = new Set<string>();
  let lost = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    const sidecar = run(process.execPath, ['bin/opallama.js', 'serve', '--config', place.config]);
    place.started.push(sidecar);
    const before = seen.ids.size;
    // Some are killed before they listen.
    if (kill % 10 === 9) await sleep(Math.random() * 600);
    else {
      const [, port] = await sidecar.waitFor(/"listener":"data".*?"port":(\d+)/);
      const load = startLoad(Number(port), kill);
      for (const late = Date.now() + 20_000; seen.ids.size === before && Date.now() < late; ) await sleep(5);
      await sleep(Math.random() * 250);
      sidecar.process.kill('SIGKILL');
      await load.stop();
    }
    sidecar.process.kill('SIGKILL');
    if (sidecar.process.exitCode === null && sidecar.process.signalCode === null) await once(sidecar.process, 'exit');

    for (const id of await readDecided(place.file)) recorded.add(id);
    const missing = [...seen.ids].filter((id) => !recorded.has(id));
    assert.deepEqual(missing, [], `kill ${kill}: reached the upstream without a line`);
    const { findings } = await verifyLog({
      files: listFiles(place.file),
      key: place.publicKey,
      heads: place.heads,
      allowOtherChains: false,
    });
    assert.deepEqual(findings, [], `kill ${kill}`);
  }
  await readRequests(place.file, { outcome: 'lost' }, { alive: () => false, tell: () => (lost += 1) });
  assert.ok(seen.ids.size >= kills, 'there was load');
  t.diagnostic(
    `${kills} kills: ${seen.ids.size} requests at the upstream, ${recorded.size} lines of decisions, ${lost} requests lost with their process, ${listFiles(place.file).length} files`,
  );
});

interface Place {
  readonly config: string;
  readonly file: string;
  readonly heads: string;
  readonly publicKey: KeyObject;
  readonly started: Running[];
  describe(upstreamPort: number): string;
}

async function makePlace(t: TestContext): Promise<Place> {
  const root = mkdtempSync(join(tmpdir(), 'opallama-audit-kill-'));
  const [bundle, keyFile] = [join(root, 'policy.tar.gz'), join(root, 'heads.pem')];
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  writeFileSync(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(bundle, await compile());
  const started: Running[] = [];
  t.after(() => {
    for (const sidecar of started) sidecar.process.kill('SIGKILL');
    rmSync(root, { recursive: true, maxRetries: 10, force: true });
  });
  return {
    config: join(root, 'opallama.yaml'),
    file: join(root, 'audit', 'audit.jsonl'),
    heads: join(root, 'heads.jsonl'),
    publicKey,
    started,
    describe: (upstreamPort) =>
      [
        'listen: { data: 127.0.0.1:0, ops: 127.0.0.1:0 }',
        `upstream: { base_url: http://127.0.0.1:${upstreamPort} }`,
        `policy: { path: ${bundle} }`,
        'identity: { anonymous: { roles: [guest] } }',
        'audit:',
        '  stdout: false',
        '  file: audit/audit.jsonl',
        '  durability: strict',
        // So that some die while a file is put aside.
        '  rotate: { size: 128KiB }',
        '  heads: { key_file: heads.pem, file: heads.jsonl, every: 1s }',
      ].join('\n'),
  };
}

async function compile(): Promise<Uint8Array> {
  const toolchain = createToolchain({ path: undefined });
  try {
    const { wasm, inspection } = await toolchain.compile({
      modules: { 'authz.rego': 'package ollama.authz\nallow := true\n' },
      data: {},
      entrypoints: ['ollama/authz'],
    });
    const metadata = { opallama: writeReport(wasm, inspection, 'test') };
    return await packBundle(
      new Map([
        ['policy.wasm', wasm],
        ['.manifest', Buffer.from(JSON.stringify({ revision: 'r1', roots: [''], metadata }))],
      ]),
    );
  } finally {
    await toolchain.close();
  }
}

/** Stands for Ollama: remembers which requests reached it. */
async function startUpstream(t: TestContext) {
  const ids = new Set<string>();
  const server = createServer((asked, response) => {
    // The sidecar's own look at the models is no caller's.
    if (asked.method === 'POST') ids.add(String(asked.headers['x-request-id']));
    asked.resume().on('end', () => {
      const answer = { model: 'tiny', done: true, done_reason: 'stop', prompt_eval_count: 1, eval_count: 1 };
      setTimeout(() => response.setHeader('content-type', 'application/json').end(JSON.stringify(answer)), 2);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close().closeAllConnections());
  return { ids, port: (server.address() as AddressInfo).port };
}

/** Callers that ask one after the other until the sidecar is gone. */
function startLoad(port: number, kill: number): { stop(): Promise<void> } {
  const agent = new Agent({ keepAlive: true });
  let going = true;
  const ask = (id: string): Promise<boolean> =>
    new Promise((resolve) => {
      const asked = request({ port, path: '/api/chat', method: 'POST', agent, headers: { 'x-request-id': id } });
      asked.on('error', () => resolve(false));
      asked.on('response', (answer) => {
        answer.on('error', () => resolve(false));
        answer.resume().on('close', () => resolve(true));
      });
      asked.end('{"model":"tiny","stream":false,"messages":[{"role":"user","content":"hi"}]}');
    });
  const callers = Array.from({ length: clients }, async (_, client) => {
    for (let at = 0; going && (await ask(`k${kill}-${client}-${at}`)); at += 1);
  });
  return {
    async stop() {
      going = false;
      await Promise.all(callers);
      agent.destroy();
    },
  };
}

/** Ids of the requests that have a line `decision`. */
async function readDecided(file: string): Promise<readonly string[]> {
  const ids: string[] = [];
  for (const path of listFiles(file)) {
    await eachLine(path, ({ bytes, ended }) => {
      const [, id] = /^.{1,160}"event":"decision".*?"request_id":"([^"]*)"/.exec(bytes?.toString('latin1') ?? '') ?? [];
      if (ended && id !== undefined) ids.push(id);
      return true;
    });
  }
  return ids;
}
