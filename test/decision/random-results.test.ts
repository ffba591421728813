/** Random results, held against a predicate that says the rule again in the plainest words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { narrow } from '../../src/decision/narrow.ts';
import type { EntrypointShape } from '../../src/types.ts';

const seed = 20_260_611;
const cases = 40_000;

function createRandom(state: number): (below: number) => number {
  let x = state;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

const random = createRandom(seed);
const pick = <T>(from: readonly [T, ...T[]]): T => from[random(from.length)] ?? from[0];
const shapes = ['rule', 'allow', 'deny_list', 'unknown'] as const;
const members = [
  'allow',
  'allowed',
  'deny',
  'reasons',
  'http_status',
  'headers',
  'response_headers_to_add',
  'request_headers_to_remove',
  'dynamic_metadata',
  'obligations',
  'body',
  'other',
] as const;

function randomValue(depth: number): unknown {
  switch (random(depth > 2 ? 6 : 9)) {
    case 0:
      return true;
    case 1:
      return false;
    case 2:
      return null;
    case 3:
      return pick([0, 1, 403, 429, 200, 500, -1, 1.5]);
    case 4:
      return pick(['', 'true', 'a_code', 'Some text.', 'x-a', 'host']);
    case 5:
      return [];
    case 6:
      return Array.from({ length: random(3) }, () => randomValue(depth + 1));
    default: {
      const keys: readonly string[] = pick<readonly string[]>([
        members,
        ['code', 'message'] as const,
        ['x-a', 'host', 'model'] as const,
      ]);
      return Object.fromEntries(
        Array.from({ length: random(4) }, () => [keys[random(keys.length)] ?? '', randomValue(depth + 1)]),
      );
    }
  }
}

/** Mostly well-formed, or nothing would ever be allowed. */
function randomResult(): unknown {
  if (random(4) === 0) return randomValue(0);
  const result: Record<string, unknown> = {};
  if (random(4) > 0) result['allow'] = random(4) > 0 ? true : randomValue(1);
  if (random(3) === 0) result['deny'] = pick<unknown>([false, [], ['a'], [{ code: 'x' }], randomValue(1)]);
  if (random(6) === 0) result['obligations'] = pick<unknown>([{}, {}, { model: 'x' }, randomValue(1)]);
  if (random(6) === 0) result[pick(members)] = randomValue(1);
  return result;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  Object.prototype.toString.call(value) === '[object Object]';

/** May this be allowed? Necessary conditions only, read off the design's table. */
function mayAllow(result: unknown, shape: EntrypointShape, beyond: boolean): boolean {
  if (result === true) return true;
  if (!isObject(result)) return false;
  const said = ['allow', 'allowed'].filter((name) => name in result);
  if (said.some((name) => result[name] !== true)) return false;
  if (said.length === 0 && (shape !== 'deny_list' || beyond)) return false;
  const { deny } = result;
  const nobodyDenies = !('deny' in result) || deny === false || (Array.isArray(deny) && deny.length === 0);
  if (!nobodyDenies) return false;
  return !('obligations' in result) || JSON.stringify(result['obligations']) === '{}';
}

test(`of ${cases} random results (seed ${seed}) none is allowed that the plain rule would not allow`, () => {
  let allowed = 0;
  let denied = 0;
  for (let i = 0; i < cases; i += 1) {
    const result = randomResult();
    const shape = pick(shapes);
    const beyond = random(2) === 0;
    const narrowed = narrow([result], { shape, beyondDenyList: beyond ? 'models.pull' : undefined });
    const told = `${JSON.stringify(result)} as ${shape}`;
    if (narrowed.allowed) assert.ok(mayAllow(result, shape, beyond), told);
    else assert.ok(narrowed.httpStatus >= 400 && narrowed.httpStatus <= 499 && narrowed.reasons.length > 0, told);
    if (narrowed.allowed) allowed += 1;
    else denied += 1;
  }
  assert.ok(
    allowed > cases / 20 && denied > cases / 20,
    `${allowed} allowed, ${denied} denied: too one-sided to say much`,
  );
});
