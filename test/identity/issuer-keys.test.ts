/** The keys of an issuer over time: kept, asked for again, removed. The clock and the answers are the test's own. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { IssuerConfig } from '../../src/configured/identity.ts';
import { createIssuerKeys, type Refresh } from '../../src/identity/issuer-keys.ts';
import { createIssuerKey, type IssuerKey } from '../support/issuer.ts';

const [a, b, c] = [createIssuerKey('a'), createIssuerKey('b'), createIssuerKey('c')];

interface Cleaner {
  after(end: () => unknown): void;
}

function start(t: Cleaner, over: Partial<IssuerConfig> = {}, graceMs = 0) {
  const world = {
    time: 1_000_000_000,
    published: [a] as readonly IssuerKey[],
    failing: false,
    asked: 0,
    maxAgeS: undefined as number | undefined,
    hold: undefined as Promise<void> | undefined,
  };
  const refreshes: Refresh[] = [];
  const config: IssuerConfig = {
    issuer: 'https://id.test',
    audience: 'opallama',
    algorithms: ['ES256'],
    jwksUrl: new URL('https://id.test/keys'),
    claims: {},
    clockToleranceS: 0,
    tls: undefined,
    timeout: 1000,
    refresh: 300_000,
    refreshMin: 30_000,
    refreshMax: 900_000,
    stale: 3_600_000,
    ...over,
  };
  const keys = createIssuerKeys(config, {
    graceMs,
    now: () => world.time,
    onRefresh: (refresh) => refreshes.push(refresh),
    async get() {
      world.asked += 1;
      const { published, failing } = world;
      await world.hold;
      if (failing) throw new Error('away');
      return { value: { keys: published.map(({ jwk }) => jwk) }, maxAgeS: world.maxAgeS };
    },
  });
  t.after(() => keys.close());
  const has = (kid: string): boolean => keys.find('ES256', kid).length > 0;
  return { world, keys, refreshes, has };
}

test('keys are found by algorithm and key id once they were asked for', async (t) => {
  const { keys, has } = start(t);
  assert.equal(has('a'), false);
  await keys.refresh();
  assert.equal(has('a'), true);
  assert.equal(has('b'), false);
  assert.equal(keys.find('RS256', 'a').length, 0);
  assert.equal(keys.find('ES256', undefined).length, 1);
});

test('a key id that is not known is asked for once in 30 s, whoever comes with others', async (t) => {
  const { world, keys, has } = start(t);
  await keys.refresh();
  world.published = [a, b];
  await keys.look('ES256', 'b');
  assert.equal(has('b'), true);
  assert.equal(world.asked, 2);
  for (let i = 0; i < 100; i += 1) assert.equal(keys.look('ES256', `made up ${i}`), undefined);
  world.time += 29_999;
  assert.equal(keys.look('ES256', 'made up'), undefined);
  world.time += 1;
  await keys.look('ES256', 'made up');
  assert.equal(world.asked, 3);
});

test('nothing is asked for a known key id, nor for an algorithm that is not configured', async (t) => {
  const { world, keys } = start(t);
  await keys.refresh();
  assert.equal(keys.look('ES256', 'a'), undefined);
  assert.equal(keys.look('none', 'b'), undefined);
  assert.equal(keys.look('HS256', undefined), undefined);
  assert.equal(world.asked, 1);
});

test('a key id that was not there does not use up the looks of others', async (t) => {
  const { world, keys, has } = start(t);
  await keys.refresh();
  await keys.look('ES256', 'old');
  world.time += 30_000;
  assert.equal(keys.look('ES256', 'old'), undefined);
  world.published = [a, b];
  await keys.look('ES256', 'b');
  assert.equal(has('b'), true);
  world.time += 30_000;
  await keys.look('ES256', 'old');
  assert.equal(world.asked, 4);
});

test('all who wait for a key share one question', async (t) => {
  const { world, keys, has } = start(t);
  await keys.refresh();
  world.published = [b];
  const looks = Array.from({ length: 200 }, () => keys.look('ES256', 'b'));
  assert.ok(looks.every((look) => look instanceof Promise));
  await Promise.all(looks);
  assert.equal(world.asked, 2);
  assert.equal(has('b'), true);
});

test('more than a thousand do not wait: they may come again', async (t) => {
  const { world, keys } = start(t);
  await keys.refresh();
  const { promise, resolve } = Promise.withResolvers<void>();
  world.hold = promise;
  const looks = Array.from({ length: 1001 }, () => keys.look('ES256', 'b'));
  assert.equal(looks.filter((look) => look instanceof Promise).length, 1000);
  const last = looks.at(-1);
  assert.ok(last !== undefined && 'unavailable' in last);
  resolve();
  await Promise.all(looks);
  assert.ok(keys.look('ES256', 'c') === undefined);
});

test('a removed key is refused at once, or after its grace', async (t) => {
  const strict = start(t);
  const lenient = start(t, {}, 10_000);
  for (const { world, keys } of [strict, lenient]) {
    await keys.refresh();
    world.published = [b];
  }
  const held = lenient.keys.find('ES256', 'a')[0];
  for (const { keys } of [strict, lenient]) await keys.refresh();
  assert.equal(strict.has('a'), false);
  assert.equal(lenient.has('a'), true);
  lenient.world.time += 9_999;
  assert.equal(lenient.has('a'), true);
  lenient.world.time += 1;
  assert.equal(lenient.has('a'), false);
  // Whoever remembers a token of it sees the same.
  assert.ok(held !== undefined && held.usableUntilMs === lenient.world.time);
});

test('the grace of a removed key does not begin anew with each answer, and ends if it is published again', async (t) => {
  const { world, keys, has } = start(t, {}, 10_000);
  await keys.refresh();
  world.published = [b];
  await keys.refresh();
  world.time += 6_000;
  await keys.refresh();
  world.time += 4_000;
  assert.equal(has('a'), false);
  world.published = [a, b];
  await keys.refresh();
  assert.equal(has('a'), true);
  world.time += 20_000;
  assert.equal(has('a'), true);
});

test('keys that can not be asked for again hold until they are stale', async (t) => {
  const { world, keys, has, refreshes } = start(t);
  await keys.refresh();
  world.failing = true;
  world.time += 3_599_999;
  await keys.refresh();
  assert.equal(has('a'), true);
  assert.match(String(refreshes.at(-1)?.error), /away/);
  world.time += 1;
  assert.equal(has('a'), false);
  // Nobody can say whether it is one by now.
  const look = keys.look('ES256', 'a');
  assert.ok(look !== undefined && 'unavailable' in look);
  world.failing = false;
  await keys.refresh();
  assert.equal(has('a'), true);
});

test('while the issuer fails nobody says that a key is not one of its', async (t) => {
  const { world, keys } = start(t);
  world.failing = true;
  await keys.refresh();
  const look = keys.look('ES256', 'b');
  assert.ok(look !== undefined && 'unavailable' in look);
  assert.equal(world.asked, 1);
});

test('a token that names no key is not tried with more than four', async (t) => {
  const { world, keys } = start(t);
  world.published = [a, b, c, createIssuerKey('d')];
  await keys.refresh();
  assert.equal(keys.find('ES256', undefined).length, 4);
  world.published = [...world.published, createIssuerKey('e')];
  await keys.refresh();
  assert.equal(keys.find('ES256', undefined).length, 0);
  assert.equal(keys.find('ES256', 'a').length, 1);
});

test('what changed is told', async (t) => {
  const { world, keys, refreshes } = start(t);
  await keys.refresh();
  world.published = [b, c];
  await keys.refresh();
  await keys.refresh();
  const counts = refreshes.map(({ added, removed }) => [added, removed]);
  assert.deepEqual(counts, [
    [1, 0],
    [2, 1],
    [0, 0],
  ]);
});

/** How long after an answer the next question comes, ms, as far as a minute's steps tell. */
async function nextAfter(t: TestContext, { world, keys }: ReturnType<typeof start>): Promise<number> {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await keys.refresh();
  const before = world.asked;
  let waited = 0;
  for (; world.asked === before && waited < 7_200_000; waited += 500) t.mock.timers.tick(500);
  t.mock.timers.reset();
  return waited;
}

/** Told by the issuer, and the longest wait that comes of it, ms. */
const waits: readonly (readonly [number | undefined, number])[] = [
  [undefined, 300_000],
  [120, 120_000],
  [0, 30_000],
  [5, 30_000],
  [86_400, 900_000],
];

for (const [maxAgeS, longest] of waits) {
  test(`keys with max-age ${maxAgeS ?? 'of nothing'} are asked for again within ${longest / 1000} s, not all at once`, async (t) => {
    const started = start(t);
    started.world.maxAgeS = maxAgeS;
    const waited = await nextAfter(t, started);
    assert.ok(waited >= longest * 0.8 && waited <= longest + 500, `${waited} ms`);
  });
}

test('an issuer that fails is asked again after 1 s, 2 s, 4 s and so on, and every 30 s in the end', async (t) => {
  const started = start(t);
  started.world.failing = true;
  // Two questions fail each time: the one that is asked for, and the one that comes of it.
  for (const longest of [1000, 4000, 16_000, 30_000, 30_000]) {
    const waited = await nextAfter(t, started);
    assert.ok(waited >= longest * 0.8 && waited <= longest + 500, `${waited} ms instead of ${longest}`);
    await settle();
  }
});

/** The question that was begun last. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}
