/** What goes to a thread and comes back, as text. */
import { parseExactJson } from '../../exact-json.ts';
import type { InputNeeds, PolicyInput } from '../../types.ts';
import type { EvaluateMessage } from './messages.ts';

/** Of what the policy reads, and what engines go by themselves. */
export function writeInput(input: PolicyInput, reads: InputNeeds): Pick<EvaluateMessage, 'input' | 'nowNs'> {
  const { now_ns: now, ...picked } = reads.all ? input : pick(input, reads.members);
  return { input: JSON.stringify(picked), nowNs: JSON.stringify(now) };
}

function pick(input: PolicyInput, members: ReadonlySet<string>): Partial<PolicyInput> {
  const picked: Record<string, unknown> = { now_ns: input.now_ns, decision_id: input.decision_id };
  for (const member of members) picked[member] = Reflect.get(input, member);
  return picked;
}

export function readResults(text: string): readonly unknown[] {
  const results = parseExactJson(text);
  if (!Array.isArray(results)) throw new TypeError('The engine gave no list of results.');
  return results;
}
