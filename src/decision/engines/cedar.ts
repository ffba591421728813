/**
 * Cedar, evaluated in this thread (docs/cedar.md says how a request becomes principal, action, resource and context).
 *
 * Cedar skips a policy that fails to evaluate and decides by the others. A forbid that is skipped forbids nothing, so here
 * any failure fails the decision, which denies.
 */
import { EvaluationError, PolicyError } from '../../errors.ts';
import type { DecisionEngine, LoadedPolicy, PolicyInput, PolicySet } from '../../types.ts';
import type { Statement } from './cedar-annotations.ts';
import { createEntitySource, type Question } from './cedar-entities.ts';
import { type Cedar, createCedar } from './cedar-module.ts';
import { type CedarPolicies, readCedarPolicies } from './cedar-policies.ts';
import { type Answer, toResult } from './cedar-result.ts';
import { contextOf, inputMemberOf } from './cedar-values.ts';

const setName = 'policies';

export function createCedarEngine(): DecisionEngine {
  return { name: 'cedar', needs: 'files', load: async (policy) => load(policy) };
}

/** @throws PolicyError with file, row and column */
function load(policy: PolicySet): LoadedPolicy {
  const first = createCedar();
  const policies = readCedarPolicies(first, policy.files);
  const { statements } = policies;
  const source = createEntitySource(policies);
  let current: Cedar | undefined = prepare(first, policies);

  function ask({ principal, action, resource, entities }: Question, context: ReturnType<typeof contextOf>): Answer {
    current ??= prepare(createCedar(), policies);
    const call = { principal, action, resource, entities, context, preparsedPolicySetId: setName };
    let answer: ReturnType<Cedar['statefulIsAuthorized']>;
    try {
      answer = current.statefulIsAuthorized(call);
    } catch (cause) {
      // A trap may leave the memory in pieces: the next evaluation gets a new instance.
      current = undefined;
      throw new Error('Cedar could not evaluate the request.', { cause });
    }
    if (answer.type === 'failure')
      throw new Error(`Cedar refused the request: ${answer.errors.map(({ message }) => message).join('; ')}`);
    const { decision, diagnostics } = answer.response;
    const [failed] = diagnostics.errors;
    if (failed !== undefined)
      throw new Error(`The policy ${failed.policyId} failed to evaluate: ${failed.error.message}`);
    return { allowed: decision === 'allow', statements: diagnostics.reason.map((id) => statementOf(statements, id)) };
  }

  return {
    revision: policy.revision,
    entrypoints: policy.entrypoints,
    reads: {
      all: false,
      members: new Set(['principal', 'operation', 'model', 'model_refs', ...policies.context.map(inputMemberOf)]),
    },
    codes: new Set([...statements.values()].flatMap(({ code }) => code ?? [])),
    deterministic: true,
    shape: (entrypoint) => (policy.entrypoints.includes(entrypoint) ? 'allow' : 'unknown'),
    evaluate(_entrypoint, input: PolicyInput) {
      const context = contextOf(input, policies.context);
      return [toResult(source.ask(input).map((question) => ask(question, context)))];
    },
    async close() {
      current = undefined;
    },
  };
}

function statementOf(statements: ReadonlyMap<string, Statement>, id: string): Statement {
  const statement = statements.get(id);
  if (statement === undefined) throw new EvaluationError('policy_error', `Cedar decided by ${id}, which is no policy.`);
  return statement;
}

/** @returns the instance, which has parsed the policies once and for all */
function prepare(cedar: Cedar, { texts }: CedarPolicies): Cedar {
  const answer = cedar.preparsePolicySet(setName, { staticPolicies: { ...texts } });
  if (answer.type === 'failure') throw new PolicyError(answer.errors.map(({ message }) => message).join('; '));
  return cedar;
}
