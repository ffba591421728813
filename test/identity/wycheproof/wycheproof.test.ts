/**
 * Wycheproof's vectors of JSON Web Signature and of key sets through the code that verifies tokens: the header's checks, the
 * choice of a key, jsonwebtoken. What they sign are no claims, so a signature that holds ends with "for another audience".
 */
import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { test } from 'node:test';
import type { JwtConfig } from '../../../src/configured/identity.ts';
import { readKeySet } from '../../../src/identity/jwks.ts';
import { readTokenHeader } from '../../../src/identity/token-header.ts';
import type { TrustedKey } from '../../../src/identity/verifier.ts';
import { verifyToken } from '../../../src/identity/verify-token.ts';
import { fetchVectors, readVectors, type Vector } from './vectors.ts';

/** All that can be configured, so that only the keys narrow them. */
const published = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'] as const;
const symmetric = ['HS256', 'HS384', 'HS512'] as const;

const noClaims = 'an empty payload is no set of claims; jsonwebtoken takes no token without one';
const otherAlgorithm =
  'the key names another algorithm (PS256 for PS384, ES521 for ES512) than the header: such a key is not used for it';
const notCanonical = 'a character that is no base64url: only one spelling of a token is taken';
const publishedSecret = 'a symmetric key in a published set is no secret';

/**
 * Vectors that are called invalid and are, to the byte, another one that is called valid: `invalidBase64Padding` without any
 * padding. That a token with padding is refused is shown in `header.test.ts`.
 */
const mislabelled: Readonly<Record<string, Readonly<Record<number, number>>>> = {
  'json_web_signature_test.json': { 367: 357, 370: 357 },
};

/** Vectors that are valid and refused all the same. Nothing is waived that is invalid and taken. */
const waived: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  'json_web_signature_test.json': {
    259: noClaims,
    264: noClaims,
    268: noClaims,
    272: noClaims,
    320: noClaims,
    325: noClaims,
    346: otherAlgorithm,
    347: otherAlgorithm,
    350: otherAlgorithm,
    351: otherAlgorithm,
    372: notCanonical,
    373: notCanonical,
  },
  'json_web_key_test.json': { 2: publishedSecret, 13: publishedSecret, 14: publishedSecret, 15: publishedSecret },
};

const verifier = {
  issuer: 'https://id.test',
  audience: 'opallama',
  clockToleranceS: 0,
  readPrincipal: () => 'these are no claims',
};

/** @returns why the token is refused before its claims are looked at; undefined where its signature holds */
function refusalOf({ jws, key }: Vector): string | undefined {
  const header = readTokenHeader(jws);
  if (header === undefined) return 'it is no token';
  if (typeof header === 'string') return header;
  let refusal = 'no key fits';
  for (const trusted of keysOf(key)) {
    if (trusted.kid !== undefined && trusted.kid !== header.kid) continue;
    const algorithm = trusted.algorithms.find((name) => name === header.alg);
    if (algorithm === undefined) continue;
    const verified = verifyToken(jws, trusted, algorithm, verifier, 0);
    assert.ok(typeof verified === 'string', 'a token without claims was let in');
    if (verified === 'the token is for another audience') return undefined;
    refusal = verified;
  }
  return refusal;
}

function keysOf(key: Vector['key']): readonly TrustedKey[] {
  const usableUntilMs = Number.POSITIVE_INFINITY;
  if (key['kty'] === 'oct') {
    const secret = createSecretKey(Buffer.from(String(key['k']), 'base64url'));
    const algorithms: readonly JwtConfig['algorithm'][] = symmetric.filter((name) => name === key['alg']);
    return [{ key: secret, kid: String(key['kid']), algorithms, usableUntilMs }];
  }
  const set = readKeySet('keys' in key ? key : { keys: [key] }, published);
  assert.ok(typeof set !== 'string', String(set));
  return set.keys.map((each) => ({ ...each, usableUntilMs }));
}

const vectors = fetchVectors();
// Where everything is there on purpose, nothing is skipped.
const skip = 'missing' in vectors && process.env['CI'] === undefined ? vectors.missing : false;

for (const [name, waivers] of Object.entries(waived)) {
  test(`${name}: nothing invalid is taken, and nothing valid refused without a reason`, { skip }, () => {
    assert.ok('directory' in vectors, 'missing' in vectors ? vectors.missing : '');
    const all = readVectors(vectors.directory, name);
    const taken = new Set(all.filter((vector) => refusalOf(vector) === undefined).map(({ id }) => id));
    const told = (wrong: readonly Vector[]): readonly string[] =>
      wrong.map((vector) => `${vector.id} ${vector.comment}: ${refusalOf(vector) ?? 'taken'}`);
    for (const { id, jws, isValid } of all.filter((vector) => mislabelled[name]?.[vector.id] !== undefined)) {
      const twin = all.find((vector) => vector.id === mislabelled[name]?.[id]);
      assert.ok(!isValid && twin?.isValid === true && twin.jws === jws, `${id} is not what its waiver says`);
    }
    const falselyTaken = all.filter(
      ({ id, isValid }) => !isValid && taken.has(id) && mislabelled[name]?.[id] === undefined,
    );
    assert.deepEqual(told(falselyTaken), [], 'false accepts');
    const refused = all.filter(({ id, isValid }) => isValid && !taken.has(id));
    assert.deepEqual(told(refused.filter(({ id }) => waivers[id] === undefined)), [], 'refused without a reason');
    const idle = Object.keys(waivers).filter((id) => !refused.some((vector) => vector.id === Number(id)));
    assert.deepEqual(idle, [], 'waived for nothing');
    assert.ok(taken.size > 0, 'no vector is taken, so nothing was tried');
  });
}
