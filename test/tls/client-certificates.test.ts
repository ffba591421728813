/** Certificates of callers: who has none, or one that does not verify, never gets as far as HTTP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';

import { createTlsServer, type HandshakeReport } from '../../src/http/tls-server.ts';
import { issue, issueAuthority } from '../support/certificates.ts';
import { portOf } from '../support/port-of.ts';
import { call, listenTlsOf } from '../support/tls.ts';

const authority = issueAuthority('Test authority');
const other = issueAuthority('Another authority');
const server = issue({ name: { CN: 'sidecar' }, issuer: authority, ips: ['127.0.0.1'] });
const good = issue({ name: { CN: 'caller' }, issuer: authority });
const wrong = issue({ name: { CN: 'caller' }, issuer: other });
const expired = issue({ name: { CN: 'caller' }, issuer: authority, to: new Date(Date.now() - 1000) });
const ca = authority.cert;

async function start(t: TestContext, clientAuth: 'require' | 'request') {
  const reports: HandshakeReport[] = [];
  let requests = 0;
  const tls = listenTlsOf({ own: server, ca: authority }, { clientAuth });
  const { server: listener } = createTlsServer(
    {},
    { tls, handshakeTimeout: 1000, onHandshakeFailure: (report) => reports.push(report) },
  );
  const answer: RequestListener = (_request, response) => {
    requests += 1;
    response.end('ok');
  };
  listener.on('request', answer);
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => {
    listener.closeAllConnections();
    listener.close();
  });
  const port = portOf(listener);
  return { url: `https://127.0.0.1:${port}`, reports, requests: () => requests };
}

for (const clientAuth of ['require', 'request'] as const) {
  test(`a certificate that verifies is let in (${clientAuth})`, async (t) => {
    const { url, reports } = await start(t, clientAuth);
    assert.equal((await call(url, { ca, cert: good.cert, key: good.key })).status, 200);
    assert.deepEqual(reports, []);
  });

  test(`a certificate of another authority, or an expired one, is not (${clientAuth})`, async (t) => {
    const { url, reports, requests } = await start(t, clientAuth);
    for (const { cert, key } of [wrong, expired]) await assert.rejects(call(url, { ca, cert, key }));
    for (const deadline = Date.now() + 30_000; reports.length < 2 && Date.now() < deadline; ) await sleep(5);
    assert.deepEqual(
      reports.map(({ reason }) => reason),
      ['client_certificate', 'client_certificate'],
    );
    assert.equal(requests(), 0);
  });
}

test('who presents none is let in only where none is required', async (t) => {
  const asking = await start(t, 'request');
  assert.equal((await call(asking.url, { ca })).status, 200);
  const requiring = await start(t, 'require');
  await assert.rejects(call(requiring.url, { ca }));
  assert.equal(requiring.requests(), 0);
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a session is not resumed, because nobody would verify it again (${version})`, async (t) => {
    const { url } = await start(t, 'require');
    const { hostname: host, port } = new URL(url);
    const options = { host, port: Number(port), ca, cert: good.cert, key: good.key, minVersion: version } as const;
    const first = connect({ ...options, maxVersion: version });
    t.after(() => first.destroy());
    let session: Buffer | undefined;
    first.on('session', (bytes: Buffer) => {
      session = bytes;
    });
    await once(first, 'secureConnect');
    first.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(first, 'data');
    assert.ok(session !== undefined);
    const second = connect({ ...options, maxVersion: version, session });
    t.after(() => second.destroy());
    await once(second, 'secureConnect');
    assert.equal(second.isSessionReused(), false);
  });
}
