/** Signatures as Ollama's command line makes them, and what somebody without the key can make of them. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { test } from 'node:test';
import { parseSshKey } from '../../src/config/ssh-key.ts';
import type { OllamaKeyConfig } from '../../src/configured/identity.ts';
import type { Call } from '../../src/identity/identify.ts';
import { createOllamaKeyAuthenticator } from '../../src/identity/ollama-key.ts';
import { refusedWith } from './refusals.ts';
import { bearer, hmacToken, identifier } from './tokens.ts';

const clock = 1_763_700_000_500;
const atTheClock = Math.floor(clock / 1000);

const alice = makeKey();
const bob = makeKey();

/** As OpenSSH writes a key; put together by hand here, so that the tests don't rely on the code that reads it. */
function makeKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const base64 = Buffer.concat([Buffer.from('\0\0\0\x0bssh-ed25519\0\0\0\x20', 'latin1'), raw]).toString('base64');
  return { privateKey, publicKey, base64 };
}

function entry(key: { publicKey: KeyObject; base64: string }, over: Partial<OllamaKeyConfig> = {}): OllamaKeyConfig {
  return {
    id: 'alice',
    key: key.publicKey,
    publicKey: key.base64,
    roles: ['developer'],
    agentRole: undefined,
    permissions: [],
    tenant: undefined,
    clockToleranceMs: 300_000,
    ...over,
  };
}

function callOf(over: Partial<Call> = {}): Call {
  return { method: 'POST', path: '/api/chat', query: `?ts=${atTheClock}`, ...over };
}

/** What the command line puts into `Authorization`. */
function signed({ method, path, query }: Call, by = alice): string {
  return `${by.base64}:${sign(null, Buffer.from(`${method},${path}${query}`), by.privateKey).toString('base64')}`;
}

/** An authenticator with a clock that can be set. */
function withClock(keys: readonly OllamaKeyConfig[] = [entry(alice)]) {
  let time = clock;
  const authenticate = createOllamaKeyAuthenticator(keys, () => time);
  return {
    /** @returns the id of the caller, or why there is none */
    ask(value: string, call: Call, at = clock) {
      time = at;
      const answer = authenticate({ scheme: 'other', value }, call);
      if (answer === 'not mine') return answer;
      if ('principal' in answer) return answer.principal.id;
      return 'rejected' in answer ? answer.rejected : answer.unavailable;
    },
  };
}

test('a signature of a listed key is its caller, with the roles that the configuration gives', () => {
  const authenticate = createOllamaKeyAuthenticator(
    [entry(bob, { id: 'bob' }), entry(alice, { agentRole: 'developer', permissions: ['chat'], tenant: 'blue' })],
    () => clock,
  );
  const call = callOf();
  assert.deepEqual(authenticate({ scheme: 'other', value: signed(call) }, call), {
    principal: {
      id: 'alice',
      kind: 'ollama_key',
      roles: ['developer'],
      agentRole: 'developer',
      permissions: ['chat'],
      tenant: 'blue',
      claims: {},
    },
  });
});

test('a signature that Ollama 0.17.4 itself made is taken', () => {
  // Recorded from `OLLAMA_AUTH=1 ollama ls` with OLLAMA_HOST=http://127.0.0.1:46127/ollama; its key was thrown away.
  const { key, base64 } = parseSshKey(
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILzzgYkYiYy6AAn7xgcNvvYGAzLUVbEfahV0n0qT3Ffa alice@laptop',
  );
  const signature = 'Lw85g7M3SXogMK+QSc3Wq55k5YqswJewXeZ8whBBdt3BwhxB6ESQsiR1Ft7FBlvaxdkXxGS0oF4TERNrcJmKDA==';
  const call = { method: 'GET', path: '/api/tags', query: '?ts=1795271181' };
  const { ask } = withClock([entry({ publicKey: key, base64 })]);
  assert.equal(ask(`${base64}:${signature}`, call, 1_795_271_181_999), 'alice');
  assert.notEqual(ask(`${base64}:${signature}`, { ...call, method: 'HEAD' }, 1_795_271_181_999), 'alice');
});

test('a signature holds for its own method, path and second, and for no other', () => {
  const made = signed(callOf());
  for (const other of [
    { method: 'GET' },
    { method: 'post' },
    { path: '/api/generate' },
    { path: '/api/chat/' },
    { path: '/ollama/api/chat' },
    { path: '/API/CHAT' },
    { path: '/' },
    { query: `?ts=${atTheClock + 1}` },
  ]) {
    assert.match(withClock().ask(made, callOf(other)), /not one of this key over this method, path and time/);
  }
});

test('the query is one ts in its plain form: anything else in it would be what nobody signed', () => {
  for (const query of [
    '',
    '?',
    '?ts=',
    `?ts=${atTheClock}&ts=${atTheClock}`,
    `?ts=${atTheClock}&ts=1`,
    `?ts=1&ts=${atTheClock}`,
    `?a=b&ts=${atTheClock}`,
    `?ts=${atTheClock}&a=b`,
    `?ts=${atTheClock}&`,
    `?TS=${atTheClock}`,
    `?t%73=${atTheClock}`,
    `?ts=0${atTheClock}`,
    `?ts=+${atTheClock}`,
    `?ts=-${atTheClock}`,
    `?ts=${atTheClock}.0`,
    `?ts=${atTheClock};`,
    `?ts=1.7637e9`,
    `?ts=0x69202ca0`,
    '?ts=Infinity',
    '?ts=9999999999999',
    `?ts=${atTheClock} `,
  ]) {
    // Signed just so, so that only the form can be what is wrong.
    const call = callOf({ query });
    assert.match(withClock().ask(signed(call), call), /the query must be ts and nothing else/, query);
  }
});

test('a signature is taken within the tolerance of the clocks, before and after, and not a moment longer', () => {
  for (const [offsetMs, taken] of [
    [300_000, true],
    [-300_000, true],
    [300_001, false],
    [-300_001, false],
    [86_400_000, false],
    [-86_400_000, false],
  ] as const) {
    const call = callOf();
    const answer = withClock().ask(signed(call), call, atTheClock * 1000 + offsetMs);
    if (taken) assert.equal(answer, 'alice', String(offsetMs));
    else assert.match(answer, /made more than 300 s before or after this moment/, String(offsetMs));
  }
});

test('only the key that is named may have signed', () => {
  const call = callOf();
  const { ask } = withClock([entry(alice), entry(bob, { id: 'bob' })]);
  assert.equal(ask(signed(call, bob), call), 'bob');
  const [, signature = ''] = signed(call, bob).split(':');
  assert.match(ask(`${alice.base64}:${signature}`, call), /not one of this key/);
  assert.match(ask(signed(call, makeKey()), call), /not among identity\.ollama_keys/);
});

test('a signature in any spelling but its own is refused', () => {
  const call = callOf();
  const good = signed(call);
  const [key = '', signature = ''] = good.split(':');
  const bytes = Buffer.from(signature, 'base64');
  const unused = signature.replace(
    /(.)==$/,
    (_all, last: string) => `${String.fromCharCode(last.charCodeAt(0) + 1)}==`,
  );
  assert.deepEqual(Buffer.from(unused, 'base64'), bytes, 'the same bytes by another spelling');
  // The group's order added to the second half: the same signature to a verifier that forgets RFC 8032 section 5.1.7.
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const half = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`) + order;
  const stretched = Buffer.concat([
    bytes.subarray(0, 32),
    Buffer.from(half.toString(16).padStart(64, '0'), 'hex').reverse(),
  ]);
  const { ask } = withClock();
  for (const value of [
    `${key}:`,
    `${key}::${signature}`,
    `${key}:${signature}:`,
    `${key}:${signature}:${signature}`,
    `${key}: ${signature}`,
    `${key}:${signature} `,
    `${key}:${signature}\n`,
    `${key}:${unused}`,
    `${key}:${signature.replace(/=+$/, '')}`,
    `${key}:${signature}=`,
    `${key}:${bytes.toString('hex')}`,
    `${key}:${signature.toUpperCase()}`,
    `${key}:${bytes.subarray(1).toString('base64')}`,
    `${key}:${Buffer.concat([bytes, bytes]).toString('base64')}`,
    `${key}:${Buffer.alloc(64).toString('base64')}`,
    `${key}:${stretched.toString('base64')}`,
    `${key.toUpperCase()}:${signature}`,
    `${key}=:${signature}`,
    `${key} :${signature}`,
  ]) {
    assert.notEqual(ask(value, call), 'alice', value);
    assert.notEqual(ask(value, call), 'not mine', value);
  }
  assert.equal(ask(good, call), 'alice');
});

test('what is no key and signature is left to others', () => {
  const call = callOf();
  const { ask } = withClock();
  for (const value of ['', ':', 'Basic YTpi', `ssh-ed25519 ${signed(call)}`, alice.base64, `x${signed(call)}`]) {
    assert.equal(ask(value, call), 'not mine', value);
  }
});

test('two calls of one path within a second carry one signature, and both are taken', () => {
  const call = callOf();
  const { ask } = withClock();
  for (const after of [0, 10, 900, 10_000]) assert.equal(ask(signed(call), call, clock + after), 'alice');
});

test('a signature that comes again later was overheard', () => {
  const call = callOf();
  const { ask } = withClock();
  assert.equal(ask(signed(call), call), 'alice');
  for (const after of [10_001, 60_000, 299_000]) {
    assert.match(ask(signed(call), call, clock + after), /was used before; sign again/);
  }
  const next = callOf({ query: `?ts=${atTheClock + 11}` });
  assert.equal(ask(signed(next), next, clock + 11_000), 'alice');
});

test('a signature that may have been forgotten counts as used, and new ones of that key are taken', () => {
  const first = callOf();
  const { ask } = withClock([entry(alice), entry(bob, { id: 'bob' })]);
  assert.equal(ask(signed(first), first), 'alice');
  const bobs = signed(first, bob);
  assert.equal(ask(bobs, first), 'bob');
  for (let i = 0; i < 4096; i += 1) {
    const call = callOf({ path: `/api/blobs/${i}`, query: `?ts=${atTheClock + 1}` });
    assert.equal(ask(signed(call), call), 'alice');
  }
  assert.match(ask(signed(first), first), /was used before/);
  const unseen = callOf({ path: '/api/tags' });
  assert.match(ask(signed(unseen), unseen), /was used before/, 'of the time of what was forgotten');
  const fresh = callOf({ path: '/api/tags', query: `?ts=${atTheClock + 1}` });
  assert.equal(ask(signed(fresh), fresh), 'alice');
  assert.equal(ask(bobs, first), 'bob', 'each key has a memory of its own');
});

test('what is too old anyway is forgotten without a trace', () => {
  const { ask } = withClock();
  for (let i = 0; i < 5000; i += 1) {
    const call = callOf({ query: `?ts=${atTheClock + i}` });
    assert.equal(ask(signed(call), call, clock + i * 1000), 'alice', String(i));
  }
});

test('beside a bearer key each credential finds its own authenticator', () => {
  const ts = Math.floor(Date.now() / 1000);
  const call = callOf({ query: `?ts=${ts}` });
  const identify = identifier({ ollamaKeys: [entry(alice, { id: 'laptop' })] });
  assert.equal(identify(['authorization', signed(call)], call).id, 'laptop');
  assert.equal(identify(['AUTHORIZATION', signed(call)], call).id, 'laptop');
  assert.equal(identify(bearer(hmacToken()), call).id, 'alice');
  refusedWith('invalid_credentials', () => identify(['x-api-key', signed(call)], call));
  refusedWith('invalid_credentials', () => identify(bearer(signed(call)), call));
});

test('two Authorization headers that differ are refused, although each of them is good', () => {
  const call = callOf({ query: `?ts=${Math.floor(Date.now() / 1000)}` });
  const identify = identifier({ ollamaKeys: [entry(alice), entry(bob, { id: 'bob' })] });
  const [one, other] = [signed(call), signed(call, bob)];
  refusedWith('conflicting_credentials', () => identify(['Authorization', one, 'Authorization', other], call));
  refusedWith('conflicting_credentials', () => identify(['Authorization', one, ...bearer(hmacToken())], call));
  refusedWith('conflicting_credentials', () => identify(['Authorization', one, 'x-api-key', hmacToken()], call));
});

test('a refused signature is 401, says what is wrong, and never becomes an anonymous caller by itself', () => {
  const call = callOf({ query: '?ts=1' });
  const identify = identifier({ ollamaKeys: [entry(alice)], anonymous: { roles: ['guest'] } });
  const { status, message, headers } = refusedWith('invalid_credentials', () =>
    identify(['Authorization', signed(call)], call),
  );
  assert.equal(status, 401);
  assert.match(message, /The credential was refused: the signature was made more than 300 s/);
  assert.match(
    headers['www-authenticate'] ?? '',
    /^Bearer realm="opallama", error="invalid_token", error_description="/,
  );
});
