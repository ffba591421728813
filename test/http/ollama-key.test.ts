/** A signed request on the wire: it is bound to the path that is judged, and leaves nothing of its credential upstream. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import { startTestSidecar } from '../support/in-process.ts';
import { portOf } from '../support/port-of.ts';
import { allowAll } from './hostile.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
const base64 = Buffer.concat([Buffer.from('\0\0\0\x0bssh-ed25519\0\0\0\x20', 'latin1'), raw]).toString('base64');

function authorize(method: string, path: string, ts: number): Record<string, string> {
  const signature = sign(null, Buffer.from(`${method},${path}?ts=${ts}`), privateKey).toString('base64');
  return { authorization: `${base64}:${signature}` };
}

test('a signature over the path without its prefix is taken at the root and below prefixes, for that path alone', async (t) => {
  const seen: http.IncomingMessage[] = [];
  // A stand-in for Ollama.
  const upstream = http.createServer((request, response) => {
    seen.push(request);
    response.setHeader('content-type', 'application/json').end('{"models":[]}');
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  t.after(() => upstream.close());
  const port = portOf(upstream);
  const sidecar = await startTestSidecar({
    upstream: `http://127.0.0.1:${port}`,
    policy: allowAll,
    ollamaKeys: [
      {
        id: 'laptop',
        key: publicKey,
        publicKey: base64,
        roles: ['developer'],
        agentRole: undefined,
        permissions: [],
        tenant: undefined,
        clockToleranceMs: 300_000,
      },
    ],
  });
  t.after(() => sidecar.close());

  const ts = Math.floor(Date.now() / 1000);
  const headers = authorize('GET', '/api/tags', ts);
  for (const prefix of ['', '/ollama', '/api/v1/ollama']) {
    const answer = await fetch(`${sidecar.url}${prefix}/api/tags?ts=${ts}`, { headers });
    assert.equal(answer.status, 200, await answer.text());
  }
  const forwarded = seen.filter((request) => request.url?.includes('ts='));
  assert.deepEqual(
    forwarded.map(({ url, headers: sent }) => [url, sent.authorization]),
    Array.from({ length: 3 }, () => [`/api/tags?ts=${ts}`, undefined]),
  );

  for (const [method, path] of [
    ['GET', `/api/ps?ts=${ts}`],
    ['GET', `/api/tags?ts=${ts - 1}`],
    ['GET', `/api/tags?ts=${ts}&x=1`],
    ['GET', '/api/tags'],
    ['GET', `/other/api/tags?ts=${ts}`],
    ['HEAD', `/api/tags?ts=${ts}`],
  ] as const) {
    const refused = await fetch(sidecar.url + path, { method, headers });
    await refused.arrayBuffer();
    assert.equal(refused.status, 401, path);
    assert.match(refused.headers.get('www-authenticate') ?? '', /^Bearer realm="opallama", error="invalid_token"/);
  }
  const events = await sidecar.waitForEvents(9);
  assert.deepEqual(
    events.map(({ principal, error }) => principal ?? error),
    [...Array(3).fill('laptop'), ...Array(6).fill('invalid_credentials')],
  );
});
