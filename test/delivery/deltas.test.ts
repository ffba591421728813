/** Delta bundles of a real server: taken whole or not at all, and only where nobody asks for signatures. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PolicyConfig, SignatureConfig } from '../../src/configured/policy.ts';
import { signBundle } from '../../src/policy/sign-bundle.ts';
import { packBundle } from '../../src/policy/write-bundle.ts';
import { type BundleServer, startBundleServer } from '../support/bundle-server.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';

type Files = Readonly<Record<string, string>>;

const rego = 'package ollama.authz\nallow := true\ndynamic_metadata := data.lists\n';
const gate = 'package lists_test\ntest_there_is_a if data.lists.a\n';
const manifest = (revision: string, more: object = {}) =>
  JSON.stringify({ revision, roots: ['ollama', 'lists', 'lists_test'], ...more });
const snapshot = (revision: string, lists: object): Files => ({
  'authz.rego': rego,
  'lists_test.rego': gate,
  'lists/data.json': JSON.stringify(lists),
  '.manifest': manifest(revision),
});
const delta = (revision: string, ...data: readonly object[]): Files => ({
  'patch.json': JSON.stringify({ data }),
  '.manifest': manifest(revision),
});
const upsert = (path: string, value: unknown) => ({ op: 'upsert', path, value });

test('a delta is put to the snapshot, others to that, and all of it outlasts a restart', async (t) => {
  const place = await makePlace(t);
  place.snapshot(snapshot('r1', { a: 1, b: [1] }));
  const first = await place.start();
  assert.deepEqual(await ask(first), ['r1', { a: 1, b: [1] }]);
  assert.equal(place.server.requests[0]?.headers['prefer'], 'modes=snapshot');
  place.delta(delta('r2', upsert('/lists/b/-', 2), upsert('/lists/c/d', 3)));
  await until(async () => (await ask(first))[0] === 'r2');
  assert.deepEqual(await ask(first), ['r2', { a: 1, b: [1, 2], c: { d: 3 } }]);
  assert.equal(place.server.requests.at(-1)?.headers['prefer'], 'modes=snapshot,delta');
  place.delta(delta('r3', { op: 'remove', path: '/lists/b' }, { op: 'replace', path: '/lists/c/d', value: 4 }));
  await until(async () => (await ask(first))[0] === 'r3');
  await first.close();

  // The server knows from the tag what is here.
  const asked = place.server.requests.length;
  const second = await place.start();
  assert.deepEqual(await ask(second), ['r3', { a: 1, c: { d: 4 } }]);
  assert.equal(place.server.requests[asked]?.headers['if-none-match'], '"2"');
  place.delta(delta('r4', upsert('/lists/a', 5)));
  await until(async () => (await ask(second))[0] === 'r4');
  assert.deepEqual(await ask(second), ['r4', { a: 5, c: { d: 4 } }]);
  // A snapshot ends all that.
  place.snapshot(snapshot('r5', { a: 6 }));
  await until(async () => (await ask(second))[0] === 'r5');
  assert.deepEqual(await ask(second), ['r5', { a: 6 }]);
});

const bad: ReadonlyArray<readonly [what: string, sent: Files, message: RegExp]> = [
  [
    'names what is not there',
    delta('bad', upsert('/lists/a', 9), { op: 'remove', path: '/lists/x' }),
    /invalid_delta: .*"\/lists\/x" names what is not there/,
  ],
  [
    'leads out of the roots',
    delta('bad', upsert('/lists/a', 9), upsert('/other', 1)),
    /"\/other" is outside of the roots/,
  ],
  [
    'has other roots',
    { ...delta('bad', upsert('/lists/a', 9)), '.manifest': manifest('bad', { roots: ['lists'] }) },
    /has other roots than the snapshot/,
  ],
  [
    'has entrypoints',
    {
      ...delta('bad', upsert('/lists/a', 9)),
      '.manifest': manifest('bad', { wasm: [{ entrypoint: 'ollama/authz', module: '/policy.wasm' }] }),
    },
    /has other wasm than the snapshot/,
  ],
  [
    'brings a policy',
    { ...delta('bad', upsert('/lists/a', 9)), 'more.rego': rego },
    /holds more\.rego beside its patch\.json/,
  ],
  ['ends early', { 'patch.json': '{"data": [', '.manifest': manifest('bad') }, /patch\.json can't be read/],
];

test('a delta that does not fit changes nothing, and a snapshot is asked for', async (t) => {
  const place = await makePlace(t);
  place.snapshot(snapshot('r0', { a: 0 }));
  const sidecar = await place.start();
  for (const [index, [what, sent, message]] of bad.entries()) {
    await t.test(what, async () => {
      const held = readFileSync(place.file);
      place.delta(sent);
      // Nothing else is to be had for now.
      place.onlyDeltas = true;
      await until(async () => message.test(await readyz(sidecar)));
      assert.deepEqual(await ask(sidecar), [`r${index}`, { a: index }]);
      assert.deepEqual(readFileSync(place.file), held, 'what is kept is the last good one');
      place.onlyDeltas = false;
      place.snapshot(snapshot(`r${index + 1}`, { a: index + 1 }));
      await until(async () => (await ask(sidecar))[0] === `r${index + 1}`);
      assert.doesNotMatch(await readyz(sidecar), /refused/);
    });
  }
});

test('a delta that the tests of the policy refuse does not decide', async (t) => {
  const place = await makePlace(t);
  place.snapshot(snapshot('r1', { a: 1 }));
  const sidecar = await place.start();
  place.delta(delta('r2', { op: 'remove', path: '/lists/a' }));
  await until(async () => /lists_test\.rego:2:1: test_failed/.test(await readyz(sidecar)));
  assert.deepEqual(await ask(sidecar), ['r1', { a: 1 }]);
  place.delta(delta('r3', upsert('/lists/a', 2)));
  await until(async () => (await ask(sidecar))[0] === 'r3');
});

test('a delta before any snapshot is no policy', async (t) => {
  const place = await makePlace(t);
  place.delta(delta('r1', upsert('/lists/a', 1)));
  place.onlyDeltas = true;
  const sidecar = await place.start();
  assert.match(await readyz(sidecar), /is a delta \(patch\.json\), and no snapshot is here/);
  assert.equal((await fetch(`${sidecar.url}/api/tags`)).status, 503);
  place.onlyDeltas = false;
  place.snapshot(snapshot('r2', { a: 2 }));
  await until(async () => (await ask(sidecar))[0] === 'r2');
});

test('where signatures are asked for a delta counts only if that is said to be wanted', async (t) => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signature: SignatureConfig = {
    algorithm: 'ES256',
    key: pair.publicKey,
    keyId: undefined,
    scope: undefined,
    excludeFiles: [],
  };
  const sign = (files: Files): Files => {
    const bytes = new Map(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)]));
    const signed = signBundle(bytes, { key: pair.privateKey, algorithm: 'ES256', claims: {} });
    return { ...files, '.signatures.json': Buffer.from(signed).toString() };
  };
  const place = await makePlace(t, { signature });
  place.snapshot(sign(snapshot('r1', { a: 1 })));
  const strict = await place.start();
  await until(() => place.server.requests.length > 2);
  assert.equal(place.server.requests.at(-1)?.headers['prefer'], 'modes=snapshot');
  place.delta(delta('r2', upsert('/lists/a', 2)));
  place.sendUnasked = true;
  await until(async () => /is a delta \(patch\.json\)/.test(await readyz(strict)));
  assert.deepEqual(await ask(strict), ['r1', { a: 1 }]);
  await strict.close();

  place.sendUnasked = false;
  place.snapshot(sign(snapshot('r3', { a: 3 })));
  const allowed = { signature: { ...signature, allowUnsignedDeltas: true } };
  const lax = await place.start(allowed);
  assert.deepEqual(await ask(lax), ['r3', { a: 3 }]);
  place.delta(delta('r4', upsert('/lists/a', 4)));
  await until(async () => (await ask(lax))[0] === 'r4');
  // The snapshot is held to its signature as ever, and a delta to one that it has.
  place.delta({
    ...delta('r5', upsert('/lists/a', 5)),
    '.signatures.json': sign(delta('x'))['.signatures.json'] ?? '',
  });
  place.onlyDeltas = true;
  await until(async () => /is not what was signed/.test(await readyz(lax)));
  assert.deepEqual(await ask(lax), ['r4', { a: 4 }]);
  await lax.close();

  // What was taken under other settings does not count under these, neither the download nor what was kept of it.
  place.server.answer = (request) => request.socket.destroy();
  const again = await place.start();
  assert.equal((await fetch(`${again.url}/api/tags`)).status, 503);
});

interface Place {
  readonly server: BundleServer;
  readonly file: string;
  /** Serves it to everybody. */
  snapshot(files: Files): void;
  /** Serves it to who has what was served last. */
  delta(files: Files): void;
  /** Even to who has not. */
  onlyDeltas: boolean;
  /** Even to who does not want any. */
  sendUnasked: boolean;
  start(over?: Partial<PolicyConfig>): Promise<TestSidecar>;
}

async function makePlace(t: TestContext, config: Partial<PolicyConfig> = {}): Promise<Place> {
  const server = await startBundleServer();
  t.after(() => server.close());
  const stateDir = mkdtempSync(join(tmpdir(), 'opallama-deltas-'));
  t.after(() => rmSync(stateDir, { recursive: true, force: true, maxRetries: 10 }));
  const pack = (files: Files) =>
    packBundle(new Map(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)])));
  let [version, last, change]: [number, Promise<Uint8Array> | undefined, Promise<Uint8Array> | undefined] = [
    -1,
    undefined,
    undefined,
  ];
  const place: Place = {
    server,
    file: join(stateDir, 'policy.download.tar.gz'),
    onlyDeltas: false,
    sendUnasked: false,
    snapshot(files) {
      version += 1;
      [last, change] = [pack(files), undefined];
    },
    delta(files) {
      version += 1;
      change = pack(files);
    },
    async start(over) {
      const sidecar = await startTestSidecar({
        upstream: 'http://127.0.0.1:9',
        anonymousRoles: ['guest'],
        policyConfig: {
          engine: 'topdown',
          stateDir,
          path: place.file,
          bundle: {
            url: new URL(server.url),
            token: undefined,
            tokenSource: undefined,
            tls: undefined,
            poll: 200,
            longPoll: 0,
            timeout: 10_000,
            size: 1 << 20,
          },
          ...config,
          ...over,
        },
      });
      let closing: Promise<void> | undefined;
      const close = (): Promise<void> => (closing ??= sidecar.close());
      t.after(close);
      return { ...sidecar, close };
    },
  };
  server.answer = async ({ headers }, response) => {
    const known = headers['if-none-match'];
    if (known === `"${version}"`) return void response.writeHead(304).end();
    const wants = String(headers['prefer']).includes('delta') || place.sendUnasked;
    const fits = wants && known === `"${version - 1}"`;
    const bytes = change !== undefined && (fits || place.onlyDeltas) ? await change : await last;
    // A tag of its own for what is older than the delta.
    const etag = bytes === (await change) || change === undefined ? `"${version}"` : `"${digest(bytes)}"`;
    response.writeHead(bytes === undefined ? 404 : 200, { etag }).end(bytes);
  };
  return place;
}

function digest(bytes: Uint8Array | undefined): string {
  return createHash('sha256')
    .update(bytes ?? '')
    .digest('hex');
}

async function ask(sidecar: TestSidecar): Promise<readonly [revision: string | undefined, data: unknown]> {
  const before = sidecar.events.length;
  await (await fetch(`${sidecar.url}/api/tags`)).arrayBuffer();
  const event = (await sidecar.waitForEvents(before + 1)).at(-1);
  return [event?.revision, event?.dynamic_metadata];
}

async function readyz(sidecar: TestSidecar): Promise<string> {
  return (await fetch(`${sidecar.opsUrl}/readyz?verbose`)).text();
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(20)) if (await holds()) return;
  assert.fail('not within 30 s');
}
