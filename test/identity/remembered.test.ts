/** Verified tokens are remembered for speed; that must never make one hold longer than it says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JwtConfig } from '../../src/configured/identity.ts';
import { createConfiguredVerifier } from '../../src/identity/configured-key.ts';
import { createJwtAuthenticator } from '../../src/identity/jwt.ts';
import { goodClaims, hmacToken, jwtKey } from './tokens.ts';

/** A day far from today, so that a look at the real clock would show. */
const day = 1_000_000_000;

function clocked(key: Partial<JwtConfig> = {}) {
  const clock = { seconds: day };
  const authenticate = createJwtAuthenticator(
    [createConfiguredVerifier(jwtKey(key))],
    undefined,
    () => clock.seconds * 1000,
  );
  const ask = (token: string): string => {
    const answer = authenticate({ scheme: 'bearer', value: token });
    if (answer instanceof Promise || answer === 'not mine' || 'unavailable' in answer) return JSON.stringify(answer);
    return 'principal' in answer ? answer.principal.id : answer.rejected;
  };
  return { clock, ask };
}

test('a remembered token is refused from the second in which it expires', () => {
  const { clock, ask } = clocked();
  const token = hmacToken(goodClaims({ exp: day + 100 }));
  assert.equal(ask(token), 'alice');
  clock.seconds = day + 99.999;
  assert.equal(ask(token), 'alice');
  clock.seconds = day + 100;
  assert.equal(ask(token), 'the token expired');
  assert.equal(ask(token), 'the token expired');
});

test('a token that was never seen is refused at the same moment as one that is remembered', () => {
  const { clock, ask } = clocked({ clockToleranceS: 5 });
  const token = (sub: string) => hmacToken(goodClaims({ sub, exp: day + 100 }));
  assert.equal(ask(token('remembered')), 'remembered');
  clock.seconds = day + 104.9;
  assert.equal(ask(token('remembered')), 'remembered');
  assert.equal(ask(token('new')), 'new');
  clock.seconds = day + 105;
  assert.equal(ask(token('remembered')), 'the token expired');
  assert.equal(ask(token('newer')), 'the token expired');
});

test('a remembered token is refused when the clock goes back before its start', () => {
  const { clock, ask } = clocked();
  const token = hmacToken(goodClaims({ nbf: day, exp: day + 100 }));
  assert.equal(ask(token), 'alice');
  clock.seconds = day - 1;
  assert.equal(ask(token), 'the token is not valid yet');
  clock.seconds = day;
  assert.equal(ask(token), 'alice');
});

test('a remembered token does not vouch for one that differs in a letter', () => {
  const { ask } = clocked();
  const token = hmacToken(goodClaims({ exp: day + 100 }));
  assert.equal(ask(token), 'alice');
  const [header, claims, signature = ''] = token.split('.');
  const changed = `${header}.${claims}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
  assert.equal(ask(changed), 'the signature of the token is not valid');
});

test('more tokens than are remembered all keep working', () => {
  const { ask } = clocked();
  const tokens = Array.from({ length: 1100 }, (_, i) => hmacToken(goodClaims({ sub: `s${i}`, exp: day + 100 })));
  for (const round of [1, 2]) {
    for (const [i, token] of tokens.entries()) assert.equal(ask(token), `s${i}`, `round ${round}`);
  }
});
