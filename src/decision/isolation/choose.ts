/** Where a policy is evaluated, by what is known of it before it runs (docs/engines.md). */

import type { PolicyConfig } from '../../configured/policy.ts';
import type { DecisionEngine, InputNeeds, PolicySet } from '../../types.ts';

/** `by_input`: inline, but for inputs that are large. */
export interface Place {
  readonly place: 'inline' | 'worker' | 'by_input';
  /** For the log. */
  readonly why: string;
}

/** Policies with more data than this are neither read, loaded nor evaluated in the thread of the sidecar, bytes. */
export const largeDataBytes = 5_000_000;

/**
 * Built-ins whose result or effort is not bounded by the size of what they are given: a caller's number is enough to keep
 * a thread busy.
 */
const explosiveBuiltins: ReadonlySet<string> = new Set([
  'bits.lsh',
  'graph.reachable_paths',
  'net.cidr_expand',
  'numbers.range',
  'numbers.range_step',
  'regex.split',
  'walk',
  'yaml.unmarshal',
]);

/** Members whose size the caller chooses; the others are bounded by the head of a request or by a verified token. */
const openEndedMembers: readonly string[] = [
  'messages',
  'prompt',
  'system',
  'suffix',
  'template',
  'tools',
  'options',
  'format',
  'keep_alive',
  'metadata',
];

export const shortInputs: Place = { place: 'inline', why: 'the policy reads nothing that a caller can make long' };

/** @param bytes of all files of the policy */
export function choosePlace(
  config: PolicyConfig,
  engine: DecisionEngine,
  policy: Pick<PolicySet, 'reads' | 'builtins'>,
  bytes: number,
): Place {
  if ((engine.holds ?? (engine.needs === 'none' ? 'elsewhere' : 'bounded')) === 'elsewhere')
    return { place: 'inline', why: 'the engine asks another process' };
  if (engine.holds === 'user_code') return { place: 'worker', why: 'the policy is a program' };
  if (config.isolation !== 'auto') return { place: config.isolation, why: 'policy.isolation says so' };
  if (engine.holds === 'interpreted') return { place: 'worker', why: 'the policy is interpreted' };
  if (bytes > largeDataBytes) return { place: 'worker', why: 'the policy has much data' };
  if (engine.needs === 'wasm' && policy.builtins === undefined) {
    return { place: 'worker', why: 'the bundle does not say what its rules call and read' };
  }
  const explosive = [...(policy.builtins ?? [])].filter((name) => explosiveBuiltins.has(name));
  if (explosive.length > 0) return { place: 'worker', why: `the policy calls ${explosive.join(', ')}` };
  if (!readsOpenEnded(policy.reads)) return shortInputs;
  return { place: 'by_input', why: 'the policy reads what a caller can make long' };
}

/** Whether a caller can make what the policy reads long. */
export function readsOpenEnded(reads: InputNeeds): boolean {
  return reads.all || openEndedMembers.some((member) => reads.members.has(member));
}
