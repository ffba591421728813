/** The part of the composition root that explains a past decision: by OPA's interpreter, over what the record has of it. */
import { largeDataBytes } from './decision/isolation/choose.ts';
import type { Lineage } from './delivery/lineage.ts';
import { PolicyError, RequestError } from './errors.ts';
import type { ExplainedPolicyDocument, ExplanationDocument } from './http/admin/contract.ts';
import { measurePolicy } from './policy/measure.ts';
import { hashFiles } from './policy/prepare.ts';
import { readPolicySource } from './policy/source.ts';
import type { Toolchain } from './policy/toolchain/protocol.ts';
import type { AuditEvent, InputNeeds } from './types.ts';

export interface ExplainParts {
  readonly find: (decisionId: string) => Promise<AuditEvent | undefined>;
  readonly lineages: () => readonly Lineage[];
  readonly toolchain: Toolchain;
}

/** Explanations at once: the interpreter makes one after the other. */
const mostAtOnce = 4;

/**
 * @returns explains a decision by its id. What can't be explained without content, or without the Rego that decided, says so.
 *   Rejects with a RequestError: `unknown_decision`, `overloaded`
 */
export function createExplain(parts: ExplainParts): (decisionId: string) => Promise<ExplanationDocument> {
  let running = 0;

  return async function explain(decisionId) {
    const event = await parts.find(decisionId);
    if (event === undefined) throw new RequestError('unknown_decision');
    if (running >= mostAtOnce)
      throw new RequestError('overloaded', 'Other decisions are being explained. Try again shortly.', {
        headers: { 'retry-after': '1' },
      });
    running += 1;
    try {
      const lineages = parts.lineages();
      const revisions = lineages.length === 1 ? [event.revision ?? ''] : (event.revision ?? '').split(',');
      const policies: ExplainedPolicyDocument[] = [];
      for (const [index, lineage] of lineages.entries()) {
        const { name, engine, entrypoint } = lineage.config;
        // A revision may have a comma in its name; then nobody can tell whose is whose.
        const revision = revisions.length === lineages.length ? revisions[index] : undefined;
        policies.push({ name, engine, entrypoint, revision, ...(await explainOne(lineage, revision, event)) });
      }
      const { time, principal, operation, model, policy_result, reasons, status } = event;
      return { decision_id: decisionId, time, principal, operation, model, policy_result, reasons, status, policies };
    } finally {
      running -= 1;
    }
  };

  async function explainOne(
    { config, revisions }: Lineage,
    revision: string | undefined,
    event: AuditEvent,
  ): Promise<Pick<ExplainedPolicyDocument, 'undecidable' | 'interpreter' | 'rules' | 'evaluations'>> {
    const member = revisions.find(({ loaded }) => loaded.revision === revision);
    if (revision === undefined || member === undefined)
      return { undecidable: 'The revision that decided is not kept any more.' };
    if (config.engine !== 'wasm' && config.engine !== 'topdown')
      return { undecidable: `Only Rego can be explained, and the engine is ${config.engine}.` };
    const { erased, ...input } = event.input ?? {};
    const missing = missingMembers(member.loaded.reads, Array.isArray(erased) ? erased.map(String) : []);
    if (missing.length > 0)
      return { undecidable: `The policy may have read what is not recorded: ${missing.join(', ')}.` };
    try {
      if ((await measurePolicy(config.path)) > largeDataBytes)
        return { undecidable: 'The policy has too much data to be explained here; use opallama explain.' };
      const source = await readPolicySource(config.path);
      if ((source.revision ?? hashFiles(source.files)) !== revision)
        return { undecidable: `Another revision than the one that decided lies at ${config.path}.` };
      if (Object.keys(source.modules).length === 0)
        return { undecidable: `The bundle at ${config.path} holds no Rego.` };
      const told = await parts.toolchain.explain({
        modules: source.modules,
        data: source.data,
        entrypoint: config.entrypoint,
        // Absent members are absent in JSON, and the policy saw them so.
        input: JSON.parse(JSON.stringify(input)),
        ...(typeof input['now_ns'] === 'number' && { nowNs: input['now_ns'] }),
      });
      const { defined, error, cut, rules, evaluations } = told;
      return { interpreter: { defined, error, cut }, rules, evaluations };
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      return { undecidable: error.message.split('\n', 1)[0] ?? '' };
    }
  }
}

/** @returns of what was left out of the record, what the policy reads or may read */
function missingMembers(reads: InputNeeds, erased: readonly string[]): readonly string[] {
  return erased.filter((member) => reads.all || reads.members.has(member));
}
