import type { InputNeeds, PolicyInput } from '../../types.ts';

/**
 * Handing the input to another memory and parsing it there costs more than many a rule, so an engine hands over what its
 * policy reads.
 *
 * @returns gives of an input the members that are read; absent ones stay absent
 */
export function createInputSelector(reads: InputNeeds): (input: PolicyInput) => object {
  if (reads.all) return (input) => input;
  const members = [...reads.members];
  return (input) => {
    const selected: Record<string, unknown> = {};
    for (const member of members) {
      const value: unknown = Reflect.get(input, member);
      if (value !== undefined) selected[member] = value;
    }
    return selected;
  };
}
