import type { PolicyInput } from '../../types.ts';

const largeBytes = 256 * 1024;
/** A rule that compares each with each of so many takes milliseconds; one that combines three of them, a second. */
const manyValues = 1000;

/**
 * Whether evaluating it could hold the event loop up: more than 256 KiB of text or 1,000 values in what the policy reads.
 * Looks no further than to that.
 *
 * @param members that the policy reads; undefined for all
 */
export function isLargeInput(input: PolicyInput, members: readonly string[] | undefined): boolean {
  const rest = { bytes: largeBytes, values: manyValues };
  if (members === undefined) return exceeds(input, rest);
  return members.some((member) => exceeds(Reflect.get(input, member), rest));
}

function exceeds(value: unknown, rest: { bytes: number; values: number }): boolean {
  rest.values -= 1;
  if (typeof value === 'string') {
    rest.bytes -= value.length;
  } else if (Array.isArray(value)) {
    for (const element of value) if (exceeds(element, rest)) return true;
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, member] of Object.entries(value)) {
      rest.bytes -= key.length;
      if (exceeds(member, rest)) return true;
    }
  }
  return rest.values < 0 || rest.bytes < 0;
}
