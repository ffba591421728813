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

/** Now and then a string of many kilobytes, because the guard has another way for those: in a member of its own or of another. */
function lengthen(bytes: Buffer, random: Random): Buffer {
  if (random(150) > 0 || bytes[0] !== 0x7b) return bytes;
  const filler = pick(['x', '\\"', '\\\\', 'é', '\\u0041', '":{', '😀'], random).repeat(1 << (8 + random(7)));
  const long = filler + pick(['', '', '\\ud83d', '\\', '\u0000', '\\n'], random);
  const quotes = [...bytes.entries()].filter(([, byte]) => byte === 0x22);
  const at = quotes.length > 0 && random(3) > 0 ? pick(quotes, random)[0] + 1 : undefined;
  if (at !== undefined) return Buffer.concat([bytes.subarray(0, at), Buffer.from(long), bytes.subarray(at)]);
  return Buffer.concat([Buffer.from(`{"filler":"${long}"${bytes.length > 2 ? ',' : ''}`), bytes.subarray(1)]);
}
