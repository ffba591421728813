import { RequestError } from '../../errors.ts';
import type { CutStrings } from './cut.ts';
import { foldKey, type Shape } from './known-members.ts';

const free: Shape = { kind: 'free' };

/** No known name is longer. */
const longestKnown = 32;

/** What a walk through one body knows of it. */
export interface Walk {
  /** Whether strings are to be looked at (`JSON.parse` takes half a surrogate pair, Go makes it U+FFFD). */
  readonly strings: boolean;
  /** What was cut out of the text before it was parsed; put back here. `strings` must be true then. */
  readonly cut: CutStrings | undefined;
  /** Told of each string that Ollama decodes once more. */
  readonly readJson: (text: string) => void;
}

/**
 * Walks a parsed value beside what Ollama knows of it. The caller has bounded the depth.
 *
 * @returns the number of members at all depths
 * @throws RequestError `ambiguous_member`, `lone_surrogate`, `invalid_member`, and what `readJson` throws
 */
export function walkMembers(value: object, shape: Shape, walk: Walk): number {
  let count = 0;
  if (Array.isArray(value)) {
    const element = shape.kind === 'list' ? shape.of : free;
    for (let index = 0; index < value.length; index++) {
      const item: unknown = value[index];
      const restored = typeof item === 'string' && walk.cut?.restore(value, index, item) === true;
      if (!restored) count += walkValue(item, element, walk);
    }
    return count;
  }
  if (!isRecord(value)) return count;
  // Unlike `Object.entries` this makes no arrays. A property that something added to every object's prototype would be
  // counted as a member, and the body refused.
  for (const key in value) {
    if (walk.strings) checkString(key);
    const known = shapeOf(key, shape);
    const member = value[key];
    count++;
    if (typeof member === 'string' && walk.cut?.restore(value, key, member) === true) {
      if (known.kind === 'json') walk.readJson(String(value[key]));
    } else {
      count += walkValue(member, known, walk);
    }
  }
  return count;
}

function walkValue(value: unknown, shape: Shape, walk: Walk): number {
  switch (typeof value) {
    case 'string':
      if (walk.strings) checkString(value);
      if (shape.kind === 'json') walk.readJson(value);
      return 0;
    case 'number':
      // 1e400: Infinity here, an error or the text itself in Go.
      if (!Number.isFinite(value)) throw new RequestError('invalid_member', 'A number is out of range.');
      return 0;
    case 'object':
      return value === null ? 0 : walkMembers(value, shape, walk);
    default:
      return 0;
  }
}

function isRecord(value: object): value is Readonly<Record<string, unknown>> {
  return !Array.isArray(value);
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
