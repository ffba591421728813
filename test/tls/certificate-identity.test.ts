/** Callers who are known by their certificates, over real connections: who they are, and who they can't be. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { Agent } from 'node:https';
import { Socket } from 'node:net';
import { after, before, describe, it, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, createServer, TLSSocket } from 'node:tls';
import type { ClientCertificateConfig } from '../../src/configured/identity.ts';
import { createCertify } from '../../src/identity/client-certificate.ts';
import { createRevocations, parseRevocations } from '../../src/identity/revocations.ts';
import { undisturbed } from '../support/at-best.ts';
import { type CertificateRequest, type Issued, issue, issueAuthority } from '../support/certificates.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { portOf } from '../support/port-of.ts';
import { call, listenTlsOf, startTlsStandIn, type TlsCall, upstreamTlsOf } from '../support/tls.ts';

const authority = issueAuthority('Test authority');
const other = issueAuthority('Another authority');
const server = issue({ name: { CN: 'sidecar' }, issuer: authority, ips: ['127.0.0.1'] });
const caller = (request: Partial<CertificateRequest>): Issued =>
  issue({ name: { CN: 'caller' }, issuer: authority, ...request });

const pinned = caller({});

function entry(
  id: string,
  match: ClientCertificateConfig['match'],
  value: string,
  over: Partial<ClientCertificateConfig> = {},
): ClientCertificateConfig {
  return {
    id,
    match,
    value,
    roles: ['developer'],
    agentRole: undefined,
    permissions: [],
    tenant: undefined,
    carriesTokens: false,
    ...over,
  };
}

const fingerprintOf = ({ cert }: Issued): string =>
  new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase();

const clientCertificates = [
  entry('planner', 'san_uri', 'spiffe://test/planner', { tenant: 'blue' }),
  entry('web', 'san_dns', 'web.example'),
  entry('batch', 'subject', 'O=Example\\, Inc., CN=batch'),
  entry('laptop', 'fingerprint', fingerprintOf(pinned)),
  entry('mesh', 'san_uri', 'spiffe://test/mesh', { roles: [], carriesTokens: true }),
];

/** Says in its reasons what of the caller it sees. */
const policy = {
  'policy.rego': `package ollama.authz

allow if input.model == "open"

deny contains {"code": "seen", "message": sprintf("%s %s %s", [input.principal.kind, input.principal.id, object.get(input.client, "certificate", "-")])} if input.model != "open"
`,
};

describe('callers who are known by their certificates', () => {
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
      tls: listenTlsOf({ own: server, ca: authority }, { clientAuth: 'request' }),
      clientCertificates,
      policy,
    });
  });
  after(async () => {
    // The stand-in first: where the sidecar did not start, it would keep the test's process.
    for (const end of cleanUps) end();
    await sidecar.close();
  });

  const chat = (presented: Pick<Issued, 'cert' | 'key'> | undefined, more: TlsCall = {}) =>
    call(sidecar.url, {
      ca: authority.cert,
      ...(presented && { cert: presented.cert, key: presented.key }),
      path: '/api/chat',
      payload: '{"model":"closed","messages":[]}',
      ...more,
    });
  /** How many events there are, those of requests that ended a moment ago included. */
  const settled = async (): Promise<number> => {
    await sidecar.metrics();
    return sidecar.events.length;
  };
  /** What the policy saw: kind, id, and the connection's certificate. */
  const seen = async (presented: Issued | undefined, more: TlsCall = {}): Promise<string> => {
    const { status, body } = await chat(presented, more);
    return status === 403 ? (/\w+ \w+ [\w-]+(?=\W*\(seen\))/.exec(body)?.[0] ?? body) : `${status} ${body}`;
  };

  it('are found by each of the matchers', async () => {
    for (const [presented, id] of [
      [caller({ uris: ['spiffe://test/other', 'spiffe://test/planner'] }), 'planner'],
      [caller({ dns: ['WEB.example'] }), 'web'],
      [caller({ name: { O: 'Example, Inc.', CN: 'batch' } }), 'batch'],
      [pinned, 'laptop'],
    ] as const)
      assert.equal(await seen(presented), `client_certificate ${id} ${id}`);
  });

  it('are in the record, and in the policy that allows them', async () => {
    const presented = caller({ uris: ['spiffe://test/planner'] });
    const earlier = await settled();
    assert.equal((await chat(presented, { payload: '{"model":"open","messages":[]}' })).status, 200);
    const event = (await sidecar.waitForEvents(earlier + 1)).at(-1);
    assert.deepEqual(
      [event?.principal, event?.client_certificate, event?.tenant, event?.outcome],
      ['planner', 'planner', 'blue', 'complete'],
    );
  });

  it('are not those whose names only contain, begin with, or look like a known one', async () => {
    const web = 'web.example';
    const near: Array<Partial<CertificateRequest>> = [
      {},
      { uris: ['spiffe://test/planner/'] },
      { uris: ['spiffe://test/Planner'] },
      { uris: ['spiffe://test/planner\0'] },
      { uris: ['urn:x, URI:spiffe://test/planner'] },
      { dns: ['spiffe://test/planner'] },
      { uris: [web] },
      { dns: [`x, DNS:${web}`] },
      { dns: [`"${web}"`] },
      { dns: [`${web}\0.evil.example`] },
      { dns: [`evil.example\n${web}`] },
      { dns: ['*.example'] },
      { dns: [`a.${web}`] },
      { name: { CN: web } },
      { name: { CN: 'DNS:web.example, URI:spiffe://test/planner' } },
      { name: { O: 'Example, Inc., CN=batch' } },
      { name: { O: 'Example, Inc.', CN: 'batch', OU: 'x' } },
      { name: { CN: 'batch', O: 'Example, Inc.' } },
      { name: { O: 'Example\\, Inc.', CN: 'batch' } },
      { name: { CN: 'Example, Inc.\nCN=batch' } },
    ];
    for (const request of near) {
      assert.equal((await chat(caller(request))).status, 401, JSON.stringify(request));
      // "Not mine": the token is the caller, as without a certificate.
      assert.equal(await seen(caller(request), { token: sidecar.token() }), 'jwt alice -', JSON.stringify(request));
    }
    assert.equal((await chat(undefined)).status, 401);
  });

  it('are refused with a certificate of two callers, and recorded', async () => {
    const both = caller({ uris: ['spiffe://test/planner'], dns: ['web.example'] });
    const earlier = await settled();
    for (const more of [{}, { token: sidecar.token() }]) {
      const answer = await chat(both, more);
      assert.equal(answer.status, 401);
      assert.match(answer.body, /that of several callers/);
      assert.ok(answer.headers['www-authenticate'] !== undefined);
    }
    const event = (await sidecar.waitForEvents(earlier + 2)).at(-1);
    assert.deepEqual([event?.error, event?.principal], ['ambiguous_certificate', undefined]);
  });

  it("are refused with a token of another caller's, and the record names the certificate", async () => {
    const planner = caller({ uris: ['spiffe://test/planner'] });
    const earlier = await settled();
    assert.equal((await chat(planner, { token: sidecar.token() })).status, 401);
    const event = (await sidecar.waitForEvents(earlier + 1)).at(-1);
    assert.deepEqual(
      [event?.error, event?.principal, event?.client_certificate],
      ['conflicting_credentials', undefined, 'planner'],
    );
    assert.equal(await seen(planner, { token: sidecar.token({ subject: 'planner' }) }), 'jwt planner planner');
  });

  it('carry tokens of others where the entry says so, and then the record names both', async () => {
    const mesh = caller({ uris: ['spiffe://test/mesh'] });
    const earlier = await settled();
    assert.equal(await seen(mesh, { token: sidecar.token() }), 'jwt alice mesh');
    assert.equal((await chat(mesh)).status, 401);
    const events = await sidecar.waitForEvents(earlier + 2);
    assert.deepEqual(
      events.slice(earlier).map(({ principal, client_certificate }) => [principal, client_certificate]),
      [
        ['alice', 'mesh'],
        [undefined, 'mesh'],
      ],
    );
  });

  it('are nobody with the certificate of an authority that is not trusted', async () => {
    await assert.rejects(chat(issue({ name: { CN: 'caller' }, issuer: other, uris: ['spiffe://test/planner'] })));
    await assert.rejects(chat(issue({ name: { CN: 'caller' }, uris: ['spiffe://test/planner'] })));
  });

  it('are refused on a connection that outlives their certificate', (t) =>
    undisturbed(200, async () => {
      // To the second, as certificates are: at least one whole second is left.
      const to = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000);
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      t.after(() => agent.destroy());
      const presented = caller({ uris: ['spiffe://test/planner'], to });
      const ask = (more: TlsCall = {}) => chat(presented, { agent, ...more });
      const first = await ask();
      assert.equal(first.status, 403, first.body);
      while (Date.now() <= to.getTime()) await sleep(to.getTime() - Date.now() + 5);
      const second = await ask();
      assert.deepEqual([second.status, second.port], [401, first.port], second.body);
      assert.match(second.body, /has expired/);
      assert.equal((await ask({ token: sidecar.token({ subject: 'planner' }) })).status, 401);
      const event = sidecar.events[(await settled()) - 1];
      assert.equal(event?.error, 'certificate_expired');
    }));
});

test('a certificate that did not verify is nobody, even where a server lets it in', async (t) => {
  const tls = createServer({
    cert: server.cert,
    key: server.key,
    ca: authority.cert,
    requestCert: true,
    rejectUnauthorized: false,
  });
  tls.listen(0, '127.0.0.1');
  await once(tls, 'listening');
  t.after(() => tls.close());
  const port = portOf(tls);
  const certify = createCertify(clientCertificates);
  for (const [issuer, id] of [
    [authority, 'planner'],
    [other, undefined],
  ] as const) {
    const { cert, key } = caller({ issuer, uris: ['spiffe://test/planner'] });
    const secured = once(tls, 'secureConnection');
    const client = connect({ port: port, host: '127.0.0.1', ca: authority.cert, cert, key });
    t.after(() => client.destroy());
    const [socket]: readonly unknown[] = await secured;
    assert.ok(socket instanceof TLSSocket && socket.getPeerX509Certificate() !== undefined);
    assert.equal(certify(socket)?.principal.id, id);
  }
  assert.equal(certify(new Socket()), undefined);
});

test('a certificate that is revoked is refused on a connection that was good before, and on those that only carry', async (t) => {
  const tls = createServer({ cert: server.cert, key: server.key, ca: authority.cert, requestCert: true });
  tls.listen(0, '127.0.0.1');
  await once(tls, 'listening');
  t.after(() => tls.close());
  const port = portOf(tls);
  const revocations = createRevocations();
  const certify = createCertify(clientCertificates, revocations);
  const revoke = (...entries: readonly Readonly<Record<string, string>>[]): void => {
    const list = parseRevocations(Buffer.from(JSON.stringify({ revoked: entries })));
    assert.ok(typeof list !== 'string', String(list));
    revocations.replace(list.value);
  };
  for (const uri of ['spiffe://test/planner', 'spiffe://test/nobody']) {
    const { cert, key } = caller({ uris: [uri] });
    const { fingerprint256, serialNumber } = new X509Certificate(cert);
    const secured = once(tls, 'secureConnection');
    const client = connect({ port: port, host: '127.0.0.1', ca: authority.cert, cert, key });
    t.after(() => client.destroy());
    const [socket]: readonly unknown[] = await secured;
    assert.ok(socket instanceof TLSSocket);
    const id = certify(socket)?.principal.id;
    for (const entry of [{ certificate_fingerprint: fingerprint256 }, { certificate_serial: serialNumber }]) {
      revoke(entry);
      assert.throws(() => certify(socket), { code: 'certificate_revoked' });
      assert.throws(() => certify(socket), { code: 'certificate_revoked' });
      revoke();
      assert.equal(certify(socket)?.principal.id, id);
    }
  }
});
