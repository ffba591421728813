/** How a service is asked: what is shown to it, and to whom it is not shown. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ServiceConfig } from '../../src/configured/management.ts';
import { post, ServiceError } from '../../src/management/service.ts';
import { checkMaterial } from '../../src/tls/material.ts';
import { issue, issueAuthority } from '../support/certificates.ts';
import { startControlPlane } from '../support/control-plane.ts';
import { makeDirectory } from './makers.ts';
import { serviceAt } from './managed.ts';

const send = (service: ServiceConfig) =>
  post(service, { path: '/status', body: Buffer.from('{}'), gzipped: false, signal: new AbortController().signal });

const refused = async (service: ServiceConfig): Promise<ServiceError> => {
  try {
    await send(service);
  } catch (error) {
    assert.ok(error instanceof ServiceError);
    return error;
  }
  assert.fail('it was taken');
};

test('a client certificate and a token are shown to a service that the authorities vouch for, and to no other', async (t) => {
  const authority = issueAuthority('control');
  const own = issue({ name: { CN: 'server' }, issuer: authority, ips: ['127.0.0.1'], dns: ['localhost'] });
  const client = issue({ name: { CN: 'sidecar' }, issuer: authority });
  const bytes = { cert: Buffer.from(client.cert), key: Buffer.from(client.key), ca: Buffer.from(authority.cert) };
  const checked = checkMaterial(bytes, Date.now());
  assert.ok('material' in checked);
  const files = { cert: undefined, key: undefined, ca: undefined };
  const asked = { requestCert: true, rejectUnauthorized: true };
  const plane = await startControlPlane({ cert: own.cert, key: own.key, ca: authority.cert, ...asked });
  t.after(() => plane.close());
  const tls = { files, material: checked.material, serverName: 'localhost' };
  await send(serviceAt(plane.url, { tls }));
  assert.equal(plane.reports[0]?.headers.authorization, 'Bearer let-me-in');

  const stranger = await refused(serviceAt(plane.url, { tls: { ...tls, serverName: 'elsewhere.example' } }));
  assert.match(stranger.message, /ERR_TLS_CERT_ALTNAME_INVALID/);
  assert.match((await refused(serviceAt(plane.url))).message, /could not be reached \(/);
  assert.equal(plane.reports.length, 1);
});

test('certificates in files are read anew each time, and one that does not fit its key is told of and sent to nobody', async (t) => {
  const authority = issueAuthority('control');
  const own = issue({ name: { CN: 'server' }, issuer: authority, ips: ['127.0.0.1'], dns: ['localhost'] });
  const shown: string[] = [];
  const plane = await startControlPlane({
    cert: own.cert,
    key: own.key,
    ca: authority.cert,
    requestCert: true,
    rejectUnauthorized: true,
  });
  t.after(() => plane.close());
  plane.intercept = ({ socket }) => {
    if ('getPeerCertificate' in socket && typeof socket.getPeerCertificate === 'function')
      shown.push(socket.getPeerCertificate().subject.CN);
    return false;
  };
  const directory = makeDirectory(t);
  const files = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem'), ca: join(directory, 'ca.pem') };
  const show = (name: string): { readonly cert: string; readonly key: string } => {
    const issued = issue({ name: { CN: name }, issuer: authority });
    writeFileSync(files.cert, issued.cert);
    writeFileSync(files.key, issued.key);
    return issued;
  };
  writeFileSync(files.ca, authority.cert);
  const first = show('first');
  const checked = checkMaterial(
    { cert: Buffer.from(first.cert), key: Buffer.from(first.key), ca: Buffer.from(authority.cert) },
    Date.now(),
  );
  assert.ok('material' in checked);
  const service = serviceAt(plane.url, { tls: { files, material: checked.material, serverName: 'localhost' } });
  await send(service);
  show('second');
  await send(service);
  assert.deepEqual(shown, ['first', 'second']);
  writeFileSync(files.key, first.key);
  const error = await refused(service);
  assert.match(error.message, /^The files of the certificates of \S+ can't be used \(\w+\)\.$/);
  assert.deepEqual(shown, ['first', 'second']);
  show('third');
  await send(service);
  assert.deepEqual(shown, ['first', 'second', 'third']);
});

test('a token in a file is read anew each time, and is in no error', async (t) => {
  const plane = await startControlPlane();
  t.after(() => plane.close());
  const file = join(makeDirectory(t), 'token');
  const service = serviceAt(plane.url, { token: 'old', tokenSource: { member: 'token_file', value: file } });
  assert.match((await refused(service)).message, /can't be read/);
  for (const token of ['first', 'second']) {
    writeFileSync(file, `${token}\n`);
    await send(service);
    assert.equal(plane.reports.at(-1)?.headers.authorization, `Bearer ${token}`);
  }
  plane.intercept = (_, response) => {
    response.writeHead(401).end();
    return true;
  };
  const error = await refused(service);
  assert.equal(error.status, 401);
  assert.ok(!String(error.stack).includes('second'));
});

const endings: ReadonlyArray<readonly [string, (t: TestContext) => Promise<ServiceConfig>, RegExp]> = [
  ['is not there', async () => serviceAt('http://127.0.0.1:1'), /could not be reached \(ECONNREFUSED\)/],
  [
    'says nothing',
    async (t) => {
      const plane = await startControlPlane();
      t.after(() => plane.close());
      plane.intercept = () => true;
      return serviceAt(plane.url, { timeout: 200 });
    },
    /did not answer within 200 ms/,
  ],
  [
    'sends an answer without an end',
    async (t) => {
      const plane = await startControlPlane();
      t.after(() => plane.close());
      plane.intercept = (_, response) => {
        response.writeHead(500);
        const timer = setInterval(() => response.write(Buffer.alloc(65_536)), 5);
        response.on('close', () => clearInterval(timer));
        return true;
      };
      return serviceAt(plane.url);
    },
    /answered 500/,
  ],
];
for (const [what, start, message] of endings) {
  test(`a service that ${what} ends in an error`, async (t) => {
    assert.match((await refused(await start(t))).message, message);
  });
}
