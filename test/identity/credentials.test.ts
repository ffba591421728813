/** Where a credential may stand, and that only one of them does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusedWith } from './refusals.ts';
import { bearer, goodClaims, hmacToken, identifier } from './tokens.ts';

const alice = hmacToken();
const bob = hmacToken(goodClaims({ sub: 'bob' }));

test('a token is taken from Authorization and from x-api-key, in any case of their names', () => {
  const identify = identifier();
  for (const headers of [
    ['Authorization', `Bearer ${alice}`],
    ['authorization', `bearer ${alice}`],
    ['AUTHORIZATION', `BEARER   ${alice}`],
    ['X-Api-Key', alice],
    ['x-api-key', alice],
  ]) {
    assert.equal(identify(headers).id, 'alice', headers.join(': '));
  }
});

test('the same credential twice is one, wherever it stands', () => {
  const identify = identifier();
  assert.equal(identify([...bearer(alice), 'x-api-key', alice]).id, 'alice');
  assert.equal(identify([...bearer(alice), ...bearer(alice)]).id, 'alice');
});

test('two credentials that differ are refused, although each of them is good', () => {
  const identify = identifier({ anonymous: { roles: ['guest'] }, acceptUnknownCredentials: true });
  for (const headers of [
    [...bearer(alice), 'X-Api-Key', bob],
    ['x-api-key', bob, ...bearer(alice)],
    [...bearer(alice), ...bearer(bob)],
    ['Authorization', `Bearer ${alice}`, 'authorization', `Bearer ${bob}`],
    ['x-api-key', alice, 'x-api-key', bob],
    [...bearer(alice), 'Authorization', 'Basic YTpi'],
    [...bearer(alice), 'x-api-key', ''],
    ['Authorization', '', ...bearer(alice)],
  ]) {
    const { headers: answer } = refusedWith('conflicting_credentials', () => identify(headers));
    assert.match(answer['www-authenticate'] ?? '', /^Bearer realm="opallama", error="invalid_token"/);
  }
});

test('only the scheme Bearer carries a token', () => {
  const identify = identifier();
  for (const value of [
    `Basic ${Buffer.from(`x:${alice}`).toString('base64')}`,
    `Basic ${alice}`,
    `JWT ${alice}`,
    `Token ${alice}`,
    `Bearer,${alice}`,
    `Bearer ${alice} ${alice}`,
    `Bearer ${alice},${bob}`,
    `Bearer`,
    '',
    alice,
  ]) {
    refusedWith('invalid_credentials', () => identify(['Authorization', value]));
  }
});

test('a token anywhere else is not looked at', () => {
  for (const name of ['Cookie', 'Proxy-Authorization', 'X-Authorization', 'Authorization2', 'X-Forwarded-User']) {
    refusedWith('missing_credentials', () => identifier()([name, `Bearer ${alice}`]));
  }
});

test('who sends nothing is told what to send, without an error code', () => {
  const { status, headers } = refusedWith('missing_credentials', () => identifier()(['Host', 'x']));
  assert.equal(status, 401);
  assert.equal(headers['www-authenticate'], 'Bearer realm="opallama"');
});

test('who sends something wrong is told what is wrong, in a header of one well-formed line', () => {
  const tokens = [
    hmacToken(goodClaims({ exp: 1 })),
    hmacToken(goodClaims({ aud: 'a"b\r\nx: y' })),
    hmacToken(goodClaims(), { alg: 'HS256', crit: ['x"\r\n'] }),
    'sk-"quoted"',
  ];
  for (const token of tokens) {
    const { status, headers } = refusedWith('invalid_credentials', () => identifier()(bearer(token)));
    assert.equal(status, 401);
    assert.match(
      headers['www-authenticate'] ?? '',
      /^Bearer realm="opallama", error="invalid_token", error_description="[ !#-[\]-~]+"$/,
    );
  }
});
