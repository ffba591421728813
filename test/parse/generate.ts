import type { RequestType } from '../../src/input/routes.ts';
import { createRandom } from '../input/random.ts';
import type { Document } from './judge.ts';
import { damage, mutate } from './mutate.ts';
import { pick, type Random, write } from './tree.ts';
import { makeValid } from './valid.ts';

/**
 * @param at which document of this seed: each can be made alone
 * @param types one of which the document is of
 */
export function generate(seed: number, at: number, types: readonly RequestType[]): Document {
  const random = createRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(at + 1, 0x85ebca6b));
  const type = pick(types, random);
  const root = makeValid(type, random);
  for (let count = pick([0, 0, 1, 1, 1, 2, 2, 4], random); count > 0; count--) mutate(root, random);
  const loose = random(4) === 0;
  const space = () => (loose && random(6) === 0 ? pick([' ', '\n', '\t', '\r', '  \r\n'], random) : '');
  const bytes = Buffer.from(write(root, space));
  return { type, bytes: random(10) === 0 ? damage(bytes, random) : lengthen(bytes, random) };
}

/** Now and then a string of many kilobytes, with quotes that are none, at the top of the document. */
function lengthen(bytes: Buffer, random: Random): Buffer {
  if (random(4000) > 0 || bytes[0] !== 0x7b) return bytes;
  const filler = pick(['x', '\\"', '\\\\', 'é', '\\u0041'], random).repeat(1 << (8 + random(9)));
  return Buffer.concat([Buffer.from(`{"filler":"${filler}"${bytes.length > 2 ? ',' : ''}`), bytes.subarray(1)]);
}
