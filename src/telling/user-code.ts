import type { Config } from '../configured/config.ts';
import { withoutPolicyText, withoutText } from '../telemetry/without-text.ts';
import type { AskedRequest } from '../types.ts';

/** What may be told of an error, by the name of the policy that it came from. */
export interface Tellable {
  /** Of an evaluation: a policy's own words may quote what it was given. */
  evaluation(error: unknown, policy: string): unknown;
  /** Of anything else. */
  other(error: unknown, policy: string): unknown;
}

/** Errors of policies that are code of the user's are told without their text, whatever they are about. */
export function createTellable({ policies, shadow }: Pick<Config, 'policies' | 'shadow'>): Tellable {
  const all = shadow === undefined ? policies : [...policies, shadow];
  const modules = new Set(all.flatMap(({ engine, name }) => (engine === 'module' ? [name] : [])));
  return {
    evaluation: (error, policy) => (modules.has(policy) ? withoutText(error) : withoutPolicyText(error)),
    other: (error, policy) => (modules.has(policy) ? withoutText(error) : error),
  };
}

/** By which a line of the log is found for a request, and the request for a line. */
export function idsOf(asked: AskedRequest | undefined): Partial<AskedRequest> {
  return asked === undefined ? {} : { request_id: asked.request_id, decision_id: asked.decision_id };
}
