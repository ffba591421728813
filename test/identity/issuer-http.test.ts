/** Tokens of an issuer that publishes its keys, from the socket to the answer. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../src/configured/config.ts';
import { adminToken, callAdmin } from '../support/admin.ts';
import { startAnsweringUpstream } from '../support/answering-upstream.ts';
import { startTestSidecar } from '../support/in-process.ts';
import { createIssuerKey, type IssuerKey, startIssuer, type TestIssuer } from '../support/issuer.ts';
import { audience, inSeconds, signedToken } from './tokens.ts';

async function start(t: TestContext, issuers: Config['identity']['issuers'], removedKeyGrace = 0) {
  const sidecar = await startTestSidecar({ upstream: await startAnsweringUpstream(t), issuers, removedKeyGrace });
  t.after(() => sidecar.close());
  const ask = async (token: string) => {
    const answer = await fetch(`${sidecar.url}/api/version`, { headers: { authorization: `Bearer ${token}` } });
    return { status: answer.status, text: await answer.text(), retryAfter: answer.headers.get('retry-after') };
  };
  return { sidecar, ask };
}

function tokenOf(issuer: TestIssuer, key: IssuerKey, claims: Readonly<Record<string, unknown>> = {}): string {
  return signedToken(
    key.algorithm,
    key.privateKey,
    { sub: 'alice', iss: issuer.url, aud: audience, exp: inSeconds(600), roles: ['developer'], ...claims },
    { kid: key.kid },
  );
}

test('a token of a published key enters, one of a key that is published later too, at its first try', async (t) => {
  const issuer = await startIssuer(t);
  const [a, b] = [createIssuerKey('a'), createIssuerKey('b')];
  issuer.publish(a);
  const { sidecar, ask } = await start(t, [issuer.config()]);
  assert.equal((await ask(tokenOf(issuer, a))).status, 200);
  issuer.publish(a, b);
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => ask(tokenOf(issuer, b, { sub: `s${i}` }))));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  assert.equal(issuer.asked.filter((path) => path === '/keys').length, 2);
  assert.match(
    await sidecar.metrics(),
    /opallama_identity_reload_total\{source="issuer",issuer="https:[^}]+result="success"\} 2/,
  );
});

test('a key of one issuer proves nothing for another one', async (t) => {
  const [one, other] = [await startIssuer(t), await startIssuer(t)];
  const key = createIssuerKey('a');
  one.publish(key);
  other.publish(createIssuerKey('a'));
  const { ask } = await start(t, [one.config(), other.config()]);
  assert.equal((await ask(tokenOf(one, key))).status, 200);
  const answer = await ask(tokenOf(other, key));
  assert.deepEqual([answer.status, /signature/.test(answer.text)], [401, true]);
});

test('an issuer that is not configured is never asked, whatever a token says', async (t) => {
  const [known, unknown] = [await startIssuer(t), await startIssuer(t)];
  const key = createIssuerKey('a');
  known.publish(key);
  unknown.publish(key);
  const { ask } = await start(t, [known.config()]);
  const answer = await ask(tokenOf(unknown, key));
  assert.deepEqual([answer.status, /another issuer/.test(answer.text)], [401, true]);
  assert.deepEqual(unknown.asked, []);
});

test('while an issuer was never reached its callers get 503 and everybody else enters', async (t) => {
  const issuer = await startIssuer(t);
  issuer.answer = (_request, response) => void response.writeHead(500).end();
  const { sidecar, ask } = await start(t, [issuer.config()]);
  const answer = await ask(tokenOf(issuer, createIssuerKey('a')));
  assert.equal(answer.status, 503);
  assert.match(answer.text, /keys_unavailable|can not be asked/);
  assert.equal(answer.retryAfter, '1');
  assert.equal((await ask(sidecar.token())).status, 200);
  const [event] = await sidecar.waitForEvents(1);
  assert.equal(event?.error, 'keys_unavailable');
});

test('a caller that leaves while keys are asked for ends its request', async (t) => {
  const issuer = await startIssuer(t);
  const key = createIssuerKey('a');
  issuer.publish(createIssuerKey('other'));
  const { sidecar } = await start(t, [issuer.config({ timeout: 2000 })]);
  issuer.answer = () => {};
  const controller = new AbortController();
  const leaving = fetch(`${sidecar.url}/api/chat`, {
    method: 'POST',
    body: '{"model":"m","messages":[]}',
    headers: { authorization: `Bearer ${tokenOf(issuer, key)}` },
    signal: controller.signal,
  });
  setTimeout(() => controller.abort(), 100);
  await assert.rejects(leaving);
  const [event] = await sidecar.waitForEvents(1);
  assert.ok(event !== undefined);
  assert.equal(event.target, undefined);
});

test('operators see where keys come from, which are not used and what failed, and no key', async (t) => {
  const issuer = await startIssuer(t);
  const key = createIssuerKey('a');
  issuer.publish(key, { ...key, jwk: { kty: 'oct', k: 'AAAA' } });
  const sidecar = await startTestSidecar({
    upstream: await startAnsweringUpstream(t),
    issuers: [issuer.config()],
    adminTokens: { oncall: adminToken },
  });
  t.after(() => sidecar.close());
  const { body } = await callAdmin(sidecar, '/v1/identity');
  const { issuers } = body;
  assert.ok(Array.isArray(issuers));
  assert.deepEqual(
    issuers[0].keys.map(({ kid, published }: { kid: string; published: boolean }) => [kid, published]),
    [['a', true]],
  );
  assert.match(issuers[0].ignored[0], /key 1: its kty/);
  assert.equal(issuers[0].error, undefined);
  assert.ok(!JSON.stringify(body).includes(String(key.jwk['x'])));
  issuer.answer = (_request, response) => void response.writeHead(500).end();
  await sidecar.app.reload();
  const { body: later } = await callAdmin(sidecar, '/v1/identity');
  assert.match(JSON.stringify(later), /"error":"https:[^"]+ answered 500"/);
});

test('an issuer that does not answer holds the start up for a second and no longer', async (t) => {
  const issuer = await startIssuer(t);
  const key = createIssuerKey('a');
  issuer.publish(key);
  const held: (() => void)[] = [];
  issuer.answer = (_request, response) => void held.push(() => response.end(JSON.stringify({ keys: [key.jwk] })));
  const { ask } = await start(t, [issuer.config({ jwksUrl: new URL(`${issuer.url}/keys`), timeout: 30_000 })]);
  const waiting = ask(tokenOf(issuer, key));
  await sleep(50);
  issuer.answer = undefined;
  for (const answer of held) answer();
  assert.equal((await waiting).status, 200);
});
