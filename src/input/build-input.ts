import type { InputNeeds, PolicyInput, Principal } from '../types.ts';
import type { Asked } from './ask/asked.ts';
import type { Route } from './routes.ts';

/** All that the input document is made of; values only. */
export interface InputFacts {
  readonly requestId: string;
  readonly decisionId: string;
  readonly route: Route;
  readonly method: string;
  readonly principal: Principal;
  /** Undefined for a route without a body. */
  readonly asked: Asked | undefined;
  readonly clientIp: string;
  readonly rawHeaders: readonly string[];
  readonly nowNs: number;
  /** `identity.role_precedence`. */
  readonly rolePrecedence: readonly string[];
}

/** @throws RequestError `ambiguous_agent_role`, `invalid_member` (metadata given twice) */
export function buildInput(_facts: InputFacts, _needs: InputNeeds): PolicyInput {
  throw new Error('not yet');
}
