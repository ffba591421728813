import { RequestError } from '../../errors.ts';
import { foldKey, type Shape } from './known-members.ts';

const free: Shape = { kind: 'free' };

/** No known name is longer. */
const longestKnown = 32;

/**
 * Walks a parsed value beside what Ollama knows of it. The caller has bounded the depth.
 *
 * @param strings whether strings are to be looked at (`JSON.parse` takes half a surrogate pair, Go makes it U+FFFD)
 * @returns the number of members at all depths
 * @throws RequestError `ambiguous_member`, `lone_surrogate`, `invalid_member`
 */
export function walkMembers(value: unknown, shape: Shape, strings: boolean): number {
  if (typeof value === 'string') {
    if (strings) checkString(value);
    return 0;
  }
  if (typeof value === 'number') {
    // 1e400: Infinity here, an error or the text itself in Go.
    if (!Number.isFinite(value)) throw new RequestError('invalid_member', 'A number is out of range.');
    return 0;
  }
  if (typeof value !== 'object' || value === null) return 0;

  let count = 0;
  if (Array.isArray(value)) {
    const element = shape.kind === 'list' ? shape.of : free;
    for (const item of value) count += walkMembers(item, element, strings);
    return count;
  }
  for (const [key, member] of Object.entries(value)) {
    if (strings) checkString(key);
    count += 1 + walkMembers(member, shapeOf(key, shape), strings);
  }
  return count;
}

function shapeOf(key: string, shape: Shape): Shape {
  if (shape.kind === 'map') return shape.of;
  if (shape.kind !== 'struct') return free;
  const known = shape.members.get(key);
  if (known !== undefined) return known;
  const meant = key.length <= longestKnown ? shape.folded.get(foldKey(key)) : undefined;
  if (meant !== undefined) {
    throw new RequestError(
      'ambiguous_member',
      `Write "${meant}" as documented: a member differs from it only by case.`,
    );
  }
  return free;
}

function checkString(value: string): void {
  if (!value.isWellFormed()) throw new RequestError('lone_surrogate');
}
