import { inOnePiece } from '../one-piece.ts';
import type { InputNeeds, ModelRef, PolicyInput, Principal } from '../types.ts';
import { resolveAgentRole } from './agent-role.ts';
import { type Asked, type AskedPrompt, contentMembers } from './ask/asked.ts';
import { readCallerHeaders } from './caller-headers.ts';
import { shortName } from './model-name.ts';
import type { Route } from './routes.ts';

/** All that the input document is made of; values only. */
export interface InputFacts {
  readonly requestId: string;
  readonly decisionId: string;
  readonly route: Route;
  readonly method: string;
  readonly principal: Principal;
  /** Undefined for a route that names no model. */
  readonly asked: Asked | undefined;
  readonly clientIp: string;
  /** Id of the certificate that the connection was opened with, where it is a known one. */
  readonly clientCertificate?: string | undefined;
  readonly rawHeaders: readonly string[];
  /** Unix time in nanoseconds. */
  readonly nowNs: number;
  /** `identity.role_precedence`. */
  readonly rolePrecedence: readonly string[];
}

/**
 * Builds the document that policy is asked about (`policies/schemas/input.json`). Pure. Members are always in this order,
 * and absent rather than null. The caller's text is there only if the policy reads the member that holds it.
 *
 * @throws RequestError `ambiguous_agent_role`, `invalid_member` (metadata given twice)
 */
export function buildInput(facts: InputFacts, needs: InputNeeds): PolicyInput {
  const { route, principal, asked } = facts;
  const agentRole = resolveAgentRole(principal, facts.rolePrecedence, needs);
  const headers = readCallerHeaders(facts.rawHeaders, asked?.metadata);
  const named = asked && namesOf(asked.model);
  const input: Draft = {
    version: 1,
    phase: 'request',
    request_id: facts.requestId,
    decision_id: facts.decisionId,
    api: route.api,
    operation: route.operation,
    method: facts.method,
    path: route.path,
    principal: describePrincipal(principal),
    client: {
      ip: facts.clientIp,
      ...(headers.userAgent !== undefined && { user_agent: headers.userAgent }),
      ...(facts.clientCertificate !== undefined && { certificate: facts.clientCertificate }),
    },
    now_ns: facts.nowNs,
    mcp_server: 'ollama-proxy',
    tool_name: 'ollama-api',
    action: facts.method,
    resource: named?.resource ?? 'ollama',
    llm_action: route.llmAction,
  };
  if (agentRole !== undefined) input.agent_role = agentRole;
  if (named !== undefined) input.model = named.model;
  if (asked !== undefined) addAsked(input, asked, needs);
  if (headers.metadata !== undefined) input.metadata = headers.metadata;
  return input;
}

type Draft = { -readonly [Member in keyof PolicyInput]: PolicyInput[Member] };

/** Identity remembers its principals, so each is described once; policy and record share what nobody may change. */
const described = new WeakMap<Principal, PolicyInput['principal']>();

function describePrincipal(principal: Principal): PolicyInput['principal'] {
  const known = described.get(principal);
  if (known !== undefined) return known;
  const description = Object.freeze({
    id: principal.id,
    kind: principal.kind,
    roles: principal.roles,
    permissions: principal.permissions,
    ...(principal.tenant !== undefined && { tenant: principal.tenant }),
    claims: principal.claims,
  });
  described.set(principal, description);
  return description;
}

/** A few models are asked for all the time, and each has its names once. */
const names = new WeakMap<ModelRef, { readonly model: string; readonly resource: string }>();

function namesOf(ref: ModelRef): { readonly model: string; readonly resource: string } {
  const known = names.get(ref);
  if (known !== undefined) return known;
  const short = shortName(ref);
  const fresh = { model: inOnePiece(short), resource: inOnePiece(`ollama/${short}`) };
  names.set(ref, fresh);
  return fresh;
}

function addAsked(input: Draft, asked: Asked, needs: InputNeeds): void {
  input.model_ref = asked.model;
  input.model_refs = asked.models;
  if (asked.stream !== undefined) input.stream = asked.stream;
  if (asked.kind === 'prompt') addPrompt(input, asked, needs);
}

function addPrompt(input: Draft, asked: AskedPrompt, needs: InputNeeds): void {
  input.has_tools = asked.hasTools;
  if (asked.hasTools) input.tools = asked.toolNames;
  input.server_tools = asked.serverTools;
  input.has_system_prompt = asked.hasSystemPrompt;
  input.has_template = asked.hasTemplate;
  input.raw = asked.raw;
  input.has_context = asked.hasContext;
  input.debug = asked.debug;
  input.message_count = asked.messageCount;
  input.has_images = asked.imageCount > 0;
  input.image_count = asked.imageCount;
  input.prompt_bytes = asked.promptBytes;
  input.estimated_tokens = asked.estimatedTokens;
  if (asked.options !== undefined) input.options = asked.options;
  if (asked.keepAlive !== undefined) input.keep_alive = asked.keepAlive;
  if (asked.format !== undefined) input.format = asked.format;
  if (asked.maxTokens !== undefined) input.max_tokens = asked.maxTokens;
  // Content is not even built where policy does not read it: it is a getter where that costs something.
  for (const member of contentMembers) {
    if (!needs.all && !needs.members.has(member)) continue;
    if (member in asked.content) input[member] = asked.content[member];
  }
}
