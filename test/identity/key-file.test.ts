import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';

import { ConfigError } from '../../src/errors.ts';
import { readKeySet } from '../../src/identity/jwks.ts';
import { createFileKeys } from '../../src/identity/key-file.ts';
import type { FileReload } from '../../src/identity/watched-file.ts';

function jwk(kid: string) {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' };
}
const [first, second] = [jwk('first'), jwk('second')];
const setOf = (...keys: object[]) => JSON.stringify({ keys });

function start(t: TestContext, text: string, graceMs = 0) {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-keys-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10 }));
  const path = join(directory, 'jwks.json');
  writeFileSync(path, text);
  let now = 1_000;
  const told: FileReload[] = [];
  const keys = createFileKeys({
    issuer: 'https://cluster.example',
    path,
    graceMs,
    now: () => now,
    watching: { onReload: (reload) => told.push(reload) },
    read: (document) => readKeySet(document, ['RS256']),
  });
  t.after(() => keys.close());
  return {
    keys,
    told,
    change: (next: string) => {
      writeFileSync(path, next);
      return keys.refresh();
    },
    kids: () => keys.find('RS256', undefined).map(({ kid }) => kid),
    pass: (ms: number) => {
      now += ms;
    },
  };
}

test('keys that are added count at once, those that are taken out end with their grace', async (t) => {
  const { keys, change, kids, told, pass } = start(t, setOf(first), 60_000);
  assert.deepEqual(kids(), ['first']);
  const [remembered] = keys.find('RS256', 'first');
  await change(setOf(second));
  assert.deepEqual(kids().toSorted(), ['first', 'second']);
  assert.equal(remembered?.usableUntilMs, 61_000, 'so do tokens that were verified with it');
  pass(60_000);
  assert.deepEqual(kids(), ['second']);
  assert.deepEqual(
    told.map(({ fault }) => fault),
    [undefined],
  );
});

test('a file that is broken, empty or gone changes nothing and is told of once', async (t) => {
  const { change, kids, told, keys } = start(t, setOf(first));
  for (const text of ['{', '{"keys":[]}', '[]']) {
    await change(text);
    await keys.refresh();
    assert.deepEqual(kids(), ['first'], text);
    assert.equal(typeof keys.state().error, 'string');
  }
  assert.equal(told.filter(({ fault }) => fault !== undefined).length, 3);
  await change(setOf(first));
  assert.equal(keys.state().error, undefined);
});

test('the start ends where the file can not be read', (t) => {
  assert.throws(
    () => start(t, 'nothing'),
    (error: unknown) => error instanceof ConfigError && /is no JSON/.test(error.message),
  );
});
