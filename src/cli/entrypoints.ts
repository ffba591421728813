import type { Inspection } from '../policy/toolchain/protocol.ts';

/**
 * The entrypoints of a policy on a path: the one that is named, and those that METADATA declares, as for opa. The default
 * name counts only where it is there.
 *
 * @param mustBe whether somebody named it
 */
export function chooseEntrypoints(
  { declaredEntrypoints, packages, rules }: Pick<Inspection, 'declaredEntrypoints' | 'packages' | 'rules'>,
  named: string,
  mustBe: boolean,
): readonly string[] {
  const isThere = packages.includes(named) || rules.includes(named);
  return [...new Set([...(isThere || mustBe ? [named] : []), ...declaredEntrypoints])];
}
