/** The data listener over TLS: the same pipeline behind it, and nothing before it that a caller could mistake for it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';

import { issue, issueAuthority } from '../support/certificates.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { call, listenTlsOf, startTlsStandIn, upstreamTlsOf } from '../support/tls.ts';

const authority = issueAuthority('Test authority');
const other = issueAuthority('Another authority');
const server = issue({ name: { CN: 'sidecar' }, issuer: authority, dns: ['sidecar.example'], ips: ['127.0.0.1'] });
const chat = (model: string) => `{"model":"${model}","messages":[{"role":"user","content":"hi"}]}`;

describe('the data listener over TLS', () => {
  let sidecar: TestSidecar;
  const cleanUps: Array<() => unknown> = [];

  before(async () => {
    const upstream = await startTlsStandIn(
      { after: (end) => cleanUps.push(end) },
      { cert: server.cert, key: server.key },
    );
    sidecar = await startTestSidecar({
      upstream: upstream.url,
      upstreamTls: upstreamTlsOf({ ca: authority }),
      tls: listenTlsOf({ own: server }),
      timeouts: { headers: 2000 },
    });
  });
  after(async () => {
    // The stand-in first: where the sidecar did not start, it would keep the test's process.
    for (const end of cleanUps) end();
    await sidecar.close();
  });

  const failures = async (reason: string): Promise<number> => {
    const line = new RegExp(`^opallama_tls_handshake_failures_total\\{reason="${reason}"\\} (\\d+)$`, 'm');
    return Number(line.exec(await sidecar.metrics())?.[1] ?? 0);
  };
  /** How many events there are, those of requests that ended a moment ago included. */
  const settled = async (): Promise<number> => {
    await sidecar.metrics();
    return sidecar.events.length;
  };
  const ca = authority.cert;

  it('answers what the policy allows and records it', async () => {
    const before = await settled();
    const answer = await call(sidecar.url, {
      ca,
      token: sidecar.token(),
      path: '/api/chat',
      payload: chat('llama3.2'),
    });
    assert.equal(answer.status, 200, answer.body);
    const event = (await sidecar.waitForEvents(before + 1)).at(-1);
    assert.equal(event?.outcome, 'complete');
    assert.equal(event?.output_tokens, 4);
  });

  it('refuses what the policy denies and a caller whom nobody knows, and records both', async () => {
    const before = await settled();
    const token = sidecar.token();
    assert.equal(
      (await call(sidecar.url, { ca, token, path: '/api/chat', payload: chat('gpt-oss:120b-cloud') })).status,
      403,
    );
    assert.equal((await call(sidecar.url, { ca })).status, 401);
    const events = (await sidecar.waitForEvents(before + 2)).slice(before);
    assert.deepEqual(
      events.map(({ outcome, status }) => [outcome, status]),
      [
        ['denied', 403],
        ['denied', 401],
      ],
    );
  });

  it('is known by its own name only', async () => {
    const token = sidecar.token();
    assert.equal((await call(sidecar.url, { ca, token, servername: 'sidecar.example' })).status, 200);
    await assert.rejects(call(sidecar.url, { ca, token, servername: 'elsewhere.example' }), {
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });

  it('gets nothing of a caller who does not know its authority, so nothing is recorded', async () => {
    const before = await settled();
    await assert.rejects(call(sidecar.url, { ca: other.cert, token: sidecar.token() }), {
      code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    });
    assert.equal(await settled(), before);
  });

  it('closes on plain HTTP, counts it and records no request', async () => {
    const before = await settled();
    const socket = net.connect(sidecar.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n');
    let received = '';
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1');
    });
    await once(socket, 'close');
    assert.doesNotMatch(received, /HTTP/);
    assert.equal(await failures('plain_http'), 1);
    assert.equal(await settled(), before);
  });

  it('gives up on a handshake that does not end', async () => {
    const socket = net.connect(sidecar.port, '127.0.0.1');
    socket.on('error', () => undefined);
    const counted = await failures('timeout');
    await once(socket, 'close');
    assert.equal(await failures('timeout'), counted + 1);
  });

  it('speaks neither TLS 1.1 nor HTTP/2', async () => {
    const tries = [
      { maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
      { ALPNProtocols: ['h2'] },
    ] as const;
    for (const options of tries) {
      const counted = await failures('protocol');
      const socket = connect({ port: sidecar.port, host: '127.0.0.1', ca, ...options });
      await assert.rejects(once(socket, 'secureConnect'));
      assert.equal(await failures('protocol'), counted + 1);
    }
  });

  it('refuses a request that is no HTTP with an answer and a record', async () => {
    const before = await settled();
    const socket = connect({ port: sidecar.port, host: '127.0.0.1', ca });
    await once(socket, 'secureConnect');
    socket.write('nonsense\r\n\r\n');
    const [bytes] = await once(socket, 'data');
    assert.match(String(bytes), /^HTTP\/1\.1 400 /);
    socket.destroy();
    assert.equal((await sidecar.waitForEvents(before + 1)).at(-1)?.error, 'malformed_http');
  });
});
