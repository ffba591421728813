/** The upstream over TLS: who is not verified gets nothing of the request, and the caller a 502 that names nobody. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { UpstreamTls } from '../../src/configured/tls.ts';
import { RequestError } from '../../src/errors.ts';
import { openConnections } from '../../src/upstream/connections.ts';
import { createUpstream } from '../../src/upstream/proxy.ts';
import { issue, issueAuthority } from '../support/certificates.ts';
import { startTestSidecar } from '../support/in-process.ts';
import { startTlsStandIn, upstreamTlsOf } from '../support/tls.ts';
import { send, startStandIn } from '../upstream/stand-in.ts';

const authority = issueAuthority('Test authority');
const other = issueAuthority('Another authority');
const server = issue({ name: { CN: 'ollama' }, issuer: authority, dns: ['ollama.example'], ips: ['127.0.0.1'] });
const client = issue({ name: { CN: 'sidecar' }, issuer: authority });

async function ask(
  t: TestContext,
  tls: UpstreamTls | undefined,
  standIn: Parameters<typeof startTlsStandIn>[1] = {},
): Promise<number | RequestError> {
  const { url } = await startTlsStandIn(t, { cert: server.cert, key: server.key, ...standIn });
  return askAt(t, url, tls);
}

async function askAt(t: TestContext, url: string, tls: UpstreamTls | undefined): Promise<number | RequestError> {
  const told: unknown[] = [];
  const baseUrl = new URL(url);
  const upstream = createUpstream({
    baseUrl,
    connections: openConnections({ baseUrl, tls, timeouts: { connect: 30_000, firstByte: 30_000 } }),
    onTlsError: (error) => told.push(error),
  });
  t.after(() => upstream.close());
  const exchange = send(upstream);
  try {
    const answer = await exchange.answer;
    return answer.status;
  } catch (error) {
    assert.ok(error instanceof RequestError, String(error));
    assert.equal(told.length, error.code === 'upstream_tls' ? 1 : 0);
    return error;
  }
}

function assertRefused(answer: number | RequestError): void {
  assert.ok(answer instanceof RequestError);
  assert.equal(answer.code, 'upstream_tls');
  assert.equal(answer.status, 502);
  assert.doesNotMatch(answer.message, /127\.0\.0\.1|example|CERT|authority/i);
}

test('an upstream of a private authority is verified by it', async (t) => {
  assert.equal(await ask(t, upstreamTlsOf({ ca: authority })), 200);
});

test('an upstream that its authority does not vouch for is refused', async (t) => {
  assertRefused(await ask(t, upstreamTlsOf({ ca: other })));
});

test('without an authority of its own only those that Node trusts vouch', async (t) => {
  assertRefused(await ask(t, undefined));
});

test("no variable of Node's switches verification off", async (t) => {
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  t.after(() => delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']);
  assertRefused(await ask(t, undefined));
});

test('a certificate for another name is refused, and server_name says which name is wanted', async (t) => {
  const named = issue({ name: { CN: 'ollama' }, issuer: authority, dns: ['ollama.example'] });
  const standIn = { cert: named.cert, key: named.key };
  assertRefused(await ask(t, upstreamTlsOf({ ca: authority }), standIn));
  const wanted = upstreamTlsOf({ ca: authority }, { serverName: 'ollama.example' });
  assert.equal(await ask(t, wanted, standIn), 200);
  assertRefused(await ask(t, upstreamTlsOf({ ca: authority }, { serverName: 'other.example' }), standIn));
});

test('an expired certificate is refused', async (t) => {
  const to = new Date(Date.now() - 1000);
  const expired = issue({ name: { CN: 'ollama' }, issuer: authority, ips: ['127.0.0.1'], to });
  assertRefused(await ask(t, upstreamTlsOf({ ca: authority }), { cert: expired.cert, key: expired.key }));
});

test('an upstream that wants a certificate gets the configured one, and refuses another or none', async (t) => {
  const wants = { ca: authority.cert, requestCert: true, rejectUnauthorized: true };
  assert.equal(await ask(t, upstreamTlsOf({ ca: authority, own: client }), wants), 200);
  for (const own of [undefined, issue({ name: { CN: 'sidecar' }, issuer: other })]) {
    const answer = await ask(t, upstreamTlsOf({ ca: authority, ...(own && { own }) }), wants);
    // Node's server closes without an alert where a certificate does not verify, so that may look like a reset.
    assert.match(answer instanceof RequestError ? answer.code : '', /^upstream_(?:tls|reset)$/);
  }
});

test('an upstream that speaks no TLS is told apart from one that is not there', async (t) => {
  const plain = await startStandIn(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  assertRefused(await askAt(t, plain.url.replace('http:', 'https:'), undefined));
});

test('a request whose upstream is not verified is 502, and is recorded and counted so', async (t) => {
  const { url } = await startTlsStandIn(t, { cert: server.cert, key: server.key });
  const sidecar = await startTestSidecar({ upstream: url, upstreamTls: upstreamTlsOf({ ca: other }) });
  t.after(() => sidecar.close());
  const headers = { authorization: `Bearer ${sidecar.token()}` };
  const answer = await fetch(`${sidecar.url}/api/version`, { headers });
  assert.equal(answer.status, 502);
  assert.equal(answer.headers.get('x-opallama-reason'), 'upstream_tls');
  const [event] = await sidecar.waitForEvents(1);
  assert.equal(event?.error, 'upstream_tls');
  assert.match(await sidecar.metrics(), /opallama_upstream_errors_total\{target="[^"]+",code="upstream_tls"\} 1/);
});
