/** What is masked in a support bundle, whoever put it there. */
import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { test } from 'node:test';

import { createMask, findSecrets } from '../../../src/support.ts';
import { createRecentLines } from '../../../src/telemetry/recent-lines.ts';

const jwtSecret = 'jwt-secret-of-thirty-two-characters!';

test('secrets are found wherever a configuration holds them, in every way that they could be written', () => {
  const secrets = findSecrets({
    identity: { jwt: [{ key: createSecretKey(Buffer.from(jwtSecret)) }] },
    policies: [{ opa: { token: 'opa-token"quoted', tokenSource: { member: 'token_env', value: 'OPA_TOKEN' } } }],
    services: new Map([['one', { password: 'hidden-in-a-map' }]]),
    admin: {
      tokens: [{ name: 'oncall', sha256: Buffer.alloc(32), source: { member: 'token_env', value: 'ADMIN_VAR' } }],
    },
  });
  for (const secret of [jwtSecret, Buffer.from(jwtSecret).toString('base64'), 'opa-token"quoted', 'hidden-in-a-map'])
    assert.ok(secrets.includes(secret), secret);
  const text = createMask(secrets)(
    JSON.stringify({ a: 'opa-token"quoted', b: `x${jwtSecret}y`, c: 'OPA_TOKEN ADMIN_VAR oncall' }),
  );
  assert.deepEqual(JSON.parse(text), { a: '***', b: 'x***y', c: 'OPA_TOKEN ADMIN_VAR oncall' });
});

for (const [what, text, wanted] of [
  ['a token of a caller', 'sent eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln here', 'sent *** here'],
  ['a header', '{"authorization":"Bearer abc.def-123456"}', '{"authorization":"Bearer ***"}'],
  ['a private key', 'a -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- b', 'a *** b'],
  ['half a private key', 'a -----BEGIN PRIVATE KEY-----\\nMHc', 'a ***'],
  ['a password in a URL', 'https://user:pa55word@host/path', 'https://***@host/path'],
  ['a signed URL', '"https://host/bundle.tar.gz?X-Signature=abc&b=c"', '"https://host/bundle.tar.gz?***"'],
  [
    'what is none',
    'the bearer of bad news, http://127.0.0.1:11434/api/chat',
    'the bearer of bad news, http://127.0.0.1:11434/api/chat',
  ],
] as const) {
  test(`${what} is ${wanted === text ? 'left as it is' : 'masked'}`, () => assert.equal(createMask([])(text), wanted));
}

test('of the log the latest lines are kept, and not more than so many', () => {
  const lines = createRecentLines();
  for (let number = 0; number < 3000; number += 1) lines.add(`${number}\n`);
  assert.deepEqual([lines.list().length, lines.list().at(0), lines.list().at(-1)], [2000, '1000\n', '2999\n']);
  for (let number = 0; number < 3; number += 1) lines.add('x'.repeat(600_000));
  assert.equal(lines.list().length, 1);
});
