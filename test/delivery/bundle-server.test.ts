/** Policy from a bundle server: a real server, real sockets, real certificates. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import type { BundleConfig, PolicyConfig } from '../../src/configured/policy.ts';
import { loadPolicy } from '../../src/delivery/load-policy.ts';
import { packBundle } from '../../src/policy/write-bundle.ts';
import { checkMaterial } from '../../src/tls/material.ts';
import { type BundleServer, type BundleServerOptions, startBundleServer } from '../support/bundle-server.ts';
import { issue, issueAuthority } from '../support/certificates.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { policyConfig } from '../support/policy-config.ts';

/** Interpreted, so that nothing is compiled: what is tested here is how it comes. */
const engine = 'topdown';

const bundleOf = (
  number: number,
  rego = `package ollama.authz\nallow := true\ndynamic_metadata := {"policy": ${number}}\n`,
) =>
  packBundle(
    new Map([
      ['authz.rego', Buffer.from(rego)],
      ['.manifest', Buffer.from(JSON.stringify({ revision: `r${number}`, roots: [''] }))],
    ]),
  );

test('a bundle is got, asked for by its tag, and replaced when there is another one', async (t) => {
  const { server, start } = await makePlace(t);
  server.serve(await bundleOf(1));
  const sidecar = await start();
  assert.equal(await revisionOf(sidecar), 'r1');
  await until(() => server.requests.length > 2);
  const [first, second] = server.requests;
  assert.equal(first?.headers['if-none-match'], undefined);
  assert.match(String(second?.headers['if-none-match']), /^"[0-9a-f]{16}"$/);
  assert.equal(first?.headers['prefer'], 'modes=snapshot');
  assert.equal(second?.headers['prefer'], 'modes=snapshot,delta');
  server.serve(await bundleOf(2));
  await until(async () => (await revisionOf(sidecar)) === 'r2');
  // A broken one is got once, told of, and not taken up.
  server.serve(await bundleOf(3, 'package ollama.authz\nallow if {\n'));
  await until(async () => (await readyz(sidecar)).includes('was refused'));
  assert.match(await readyz(sidecar), /^policy: revision r2 decides$/m);
  assert.equal(await revisionOf(sidecar), 'r2');
});

test('a server without tags sends the same again and again, which is nothing new', async (t) => {
  const { server, start, policyOf } = await makePlace(t);
  const bundle = await bundleOf(1);
  let sent = bundle;
  server.answer = (_request, response) => response.writeHead(200).end(sent);
  const first = await start();
  const loads = async () => /reload_total\{result="success"\} (\d+)/.exec(await first.metrics())?.[1];
  const { mtimeMs } = statSync(policyOf().path ?? '');
  await until(() => server.requests.length > 4);
  assert.deepEqual([await loads(), statSync(policyOf().path ?? '').mtimeMs], ['1', mtimeMs]);
  sent = await bundleOf(2);
  await until(async () => (await revisionOf(first)) === 'r2');
  assert.equal(await loads(), '2');
  await first.close();

  // The same as before, behind a start without the server: it takes the place of the kept one all the same.
  server.answer = (request) => request.socket.destroy();
  const second = await start();
  assert.match(await readyz(second), /kept from an earlier run/);
  server.answer = (_request, response) => response.writeHead(200).end(sent);
  await until(async () => /^policy: revision r2 decides$/m.test(await readyz(second)));
});

test('a server that can wait is asked to, and its news comes at once', async (t) => {
  const { server, start } = await makePlace(t, { longPolls: true }, { longPoll: 20_000, poll: 60_000 });
  server.serve(await bundleOf(1));
  const sidecar = await start();
  await until(() => server.requests.length === 2);
  assert.equal(server.requests[1]?.headers['prefer'], 'modes=snapshot,delta;wait=20');
  server.serve(await bundleOf(2));
  await until(async () => (await revisionOf(sidecar)) === 'r2');
  // Somebody who does not want to wait need not.
  const before = server.requests.length;
  await sidecar.app.reload();
  assert.ok(server.requests.length > before);
});

test('while the server is away the last policy decides, a restart too goes on with it, and then it is asked again', async (t) => {
  const { server, start } = await makePlace(t);
  server.serve(await bundleOf(1));
  const first = await start();
  server.answer = (_request, response) => response.writeHead(500).end();
  await until(async () => /refused: The bundle server at .* answered 500/.test(await readyz(first)));
  assert.equal(await revisionOf(first), 'r1');
  server.answer = undefined;
  await until(async () => !(await readyz(first)).includes('refused'));
  await first.close();

  server.answer = (request) => request.socket.destroy();
  const second = await start();
  assert.equal(await revisionOf(second), 'r1');
  assert.match(await readyz(second), /^policy: revision r1 decides, kept from an earlier run$/m);
  assert.match(await second.metrics(), /revision="r1",origin="kept"/);
  server.answer = undefined;
  await until(async () => /^policy: revision r1 decides$/m.test(await readyz(second)));
});

test('with neither server nor a kept policy it starts, is not ready, denies everything, and goes on asking', async (t) => {
  const { server, start } = await makePlace(t);
  const sidecar = await start();
  assert.equal((await fetch(`${sidecar.opsUrl}/readyz`)).status, 503);
  assert.match(
    await readyz(sidecar),
    /no policy is loaded yet\n(.*\n)*policy: nothing is loaded, everything is denied/,
  );
  const denied = await fetch(`${sidecar.url}/api/tags`);
  assert.equal(denied.status, 503);
  assert.equal(denied.headers.get('x-opallama-reason'), 'policy_unavailable');
  server.serve(await bundleOf(1));
  await until(async () => (await fetch(`${sidecar.opsUrl}/readyz`)).status === 200);
  assert.equal(await revisionOf(sidecar), 'r1');
});

test('a token and a client certificate are shown, and read anew', async (t) => {
  const authority = issueAuthority('bundles');
  const own = issue({ name: { CN: 'server' }, issuer: authority, ips: ['127.0.0.1'], dns: ['localhost'] });
  const client = issue({ name: { CN: 'sidecar' }, issuer: authority });
  const bytes = { cert: Buffer.from(client.cert), key: Buffer.from(client.key), ca: Buffer.from(authority.cert) };
  const checked = checkMaterial(bytes, Date.now());
  assert.ok('material' in checked);
  const files = { cert: undefined, key: undefined, ca: undefined };
  const tls = { files, material: checked.material, serverName: 'localhost' };
  const directory = makeDirectory(t);
  const tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, 'first\n');
  const place = await makePlace(
    t,
    { tls: { cert: own.cert, key: own.key, ca: authority.cert, requestCert: true, rejectUnauthorized: true } },
    { tls, token: 'first', tokenSource: { member: 'token_file', value: tokenFile } },
  );
  place.server.serve(await bundleOf(1));
  const sidecar = await place.start();
  assert.equal(await revisionOf(sidecar), 'r1');
  assert.equal(place.server.requests[0]?.headers['authorization'], 'Bearer first');
  writeFileSync(tokenFile, 'second\n');
  await until(() => place.server.requests.at(-1)?.headers['authorization'] === 'Bearer second');
  await sidecar.close();
  // Who is not vouched for by these authorities is not asked for anything.
  const stranger = await place.start({
    bundle: { tls: { ...tls, serverName: 'elsewhere.example' } },
    stateDir: makeDirectory(t),
  });
  assert.match(await readyz(stranger), /could not be reached \(ERR_TLS_CERT_ALTNAME_INVALID\)/);
});

test('certificates are read anew for each question, and half of a change only makes it ask again', async (t) => {
  const authority = issueAuthority('bundles');
  const own = issue({ name: { CN: 'server' }, issuer: authority, ips: ['127.0.0.1'] });
  const clients = ['one', 'two'].map((name) => issue({ name: { CN: name }, issuer: authority }));
  const directory = makeDirectory(t);
  const files = { cert: join(directory, 'cert'), key: join(directory, 'key'), ca: join(directory, 'ca') };
  const write = (index: number, part: 'cert' | 'key') => writeFileSync(files[part], clients[index]?.[part] ?? '');
  write(0, 'cert');
  write(0, 'key');
  // Read at the start, and of an authority that is not the server's: what lies there now counts.
  writeFileSync(files.ca, authority.cert);
  const bytes = { cert: undefined, key: undefined, ca: Buffer.from(issueAuthority('former').cert) };
  const checked = checkMaterial(bytes, Date.now());
  assert.ok('material' in checked);
  const place = await makePlace(
    t,
    { tls: { cert: own.cert, key: own.key, ca: authority.cert, requestCert: true, rejectUnauthorized: true } },
    { tls: { files, material: checked.material, serverName: undefined } },
  );
  place.server.serve(await bundleOf(1));
  const sidecar = await place.start();
  const callers = new Set<string>();
  place.server.answer = ({ socket }, response) => {
    if (socket instanceof TLSSocket) callers.add(String(socket.getPeerCertificate().subject.CN));
    response.writeHead(304).end();
  };
  await until(() => callers.has('one'));
  write(1, 'cert');
  await until(async () => /refused: .* needs certificates, and .* can't be used/.test(await readyz(sidecar)));
  assert.equal(await revisionOf(sidecar), 'r1');
  write(1, 'key');
  await until(() => callers.has('two'));
  await until(async () => !(await readyz(sidecar)).includes('refused'));
});

const bad: ReadonlyArray<readonly [string, NonNullable<BundleServer['answer']>, RegExp]> = [
  [
    'leads elsewhere',
    (_, response) => response.writeHead(302, { location: 'http://127.0.0.2:1/x' }).end(),
    /leads to another host/,
  ],
  [
    'leads in circles',
    (_, response) => response.writeHead(302, { location: '/bundles/authz.tar.gz' }).end(),
    /leads round in circles/,
  ],
  [
    'sends too much',
    (_, response) => response.writeHead(200).end(Buffer.alloc(300_000)),
    /sent more than 200000 bytes/,
  ],
  ['never ends', (_, response) => void response.writeHead(200).write('x'), /did not answer within 300 ms/],
  ['never answers', () => {}, /did not answer within 300 ms/],
  [
    'stops halfway',
    (_, response) => void response.writeHead(200, { 'content-length': 1000 }).write('x', () => response.destroy()),
    /could not be reached|sent half/,
  ],
  ['has nothing', (_, response) => response.writeHead(404).end(), /answered 404/],
  ['says unchanged of nothing', (_, response) => response.writeHead(304).end(), /answered 304/],
  ['sends a page', (_, response) => response.writeHead(200).end('<html>'), /is not a whole \.tar\.gz file/],
];

for (const [what, answer, message] of bad) {
  test(`a server that ${what} gives no policy, and another one is waited for`, async (t) => {
    const { server, start } = await makePlace(
      t,
      {},
      {
        size: 200_000,
        timeout: /within 300 ms/.test(message.source) ? 300 : 30_000,
      },
    );
    server.answer = answer;
    const sidecar = await start();
    assert.match(await readyz(sidecar), message);
    server.answer = undefined;
    server.serve(await bundleOf(1));
    await until(async () => (await revisionOf(sidecar)) === 'r1');
  });
}

test('check gets the bundle too, and leaves nothing behind', async (t) => {
  const { server, policyOf } = await makePlace(t);
  server.serve(await bundleOf(1));
  const stateDir = makeDirectory(t);
  const active = await loadPolicy({ policies: [policyConfig(policyOf({ stateDir }))] }, undefined);
  t.after(() => active.close());
  assert.equal(active.revision, 'r1');
  assert.deepEqual(readdirSync(stateDir), []);
  server.answer = (_, response) => response.writeHead(403).end();
  await assert.rejects(loadPolicy({ policies: [policyConfig(policyOf({ stateDir }))] }, undefined), /answered 403/);
});

test('a redirect on the same host is followed', async (t) => {
  const { server, start } = await makePlace(t);
  const bundle = await bundleOf(1);
  server.answer = ({ url }, response) => {
    if (url === '/elsewhere') response.writeHead(200).end(bundle);
    else response.writeHead(307, { location: '/elsewhere' }).end();
  };
  assert.equal(await revisionOf(await start()), 'r1');
});

interface Place {
  readonly server: BundleServer;
  policyOf(over?: Over): Partial<PolicyConfig>;
  start(over?: Over): Promise<TestSidecar>;
}

interface Over {
  readonly bundle?: Partial<BundleConfig>;
  readonly stateDir?: string;
}

async function makePlace(
  t: TestContext,
  options: BundleServerOptions = {},
  config: Partial<BundleConfig> = {},
): Promise<Place> {
  const server = await startBundleServer(options);
  t.after(() => server.close());
  const own = makeDirectory(t);
  const policyOf = ({ bundle, stateDir = own }: Over = {}): Partial<PolicyConfig> => ({
    engine,
    stateDir,
    path: join(stateDir, 'policy.download.tar.gz'),
    bundle: {
      url: new URL(server.url),
      token: undefined,
      tokenSource: undefined,
      tls: undefined,
      poll: 200,
      longPoll: 0,
      timeout: 10_000,
      size: 1 << 20,
      ...config,
      ...bundle,
    },
  });
  return {
    server,
    policyOf,
    async start(over) {
      const sidecar = await startTestSidecar({
        upstream: 'http://127.0.0.1:9',
        anonymousRoles: ['guest'],
        policyConfig: policyOf(over),
      });
      let closing: Promise<void> | undefined;
      const close = (): Promise<void> => {
        closing ??= sidecar.close();
        return closing;
      };
      t.after(close);
      return { ...sidecar, close };
    },
  };
}

function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-server-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));
  return directory;
}

async function revisionOf(sidecar: TestSidecar): Promise<string | undefined> {
  const before = sidecar.events.length;
  await (await fetch(`${sidecar.url}/api/tags`)).arrayBuffer();
  return (await sidecar.waitForEvents(before + 1)).at(-1)?.revision;
}

async function readyz(sidecar: TestSidecar): Promise<string> {
  return (await fetch(`${sidecar.opsUrl}/readyz?verbose`)).text();
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(20)) if (await holds()) return;
  assert.fail('not within 30 s');
}
