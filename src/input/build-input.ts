import type { InputNeeds, PolicyInput, Principal } from '../types.ts';
import { resolveAgentRole } from './agent-role.ts';
import type { Asked, ContentMember } from './ask/asked.ts';
import { readCallerHeaders } from './caller-headers.ts';
import { shortName } from './model-name.ts';
import type { Route } from './routes.ts';

const contentNames: readonly ContentMember[] = ['messages', 'prompt', 'system', 'suffix', 'template'];

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
  const model = asked === undefined ? undefined : shortName(asked.model);
  return {
    version: 1,
    phase: 'request',
    request_id: facts.requestId,
    decision_id: facts.decisionId,
    api: route.api,
    operation: route.operation,
    method: facts.method,
    path: route.path,
    principal: describePrincipal(principal),
    ...(agentRole !== undefined && { agent_role: agentRole }),
    ...(asked !== undefined && askedMembers(asked, needs)),
    ...(model !== undefined && { model }),
    ...(headers.metadata !== undefined && { metadata: headers.metadata }),
    client: { ip: facts.clientIp, ...(headers.userAgent !== undefined && { user_agent: headers.userAgent }) },
    now_ns: facts.nowNs,
    mcp_server: 'ollama-proxy',
    tool_name: 'ollama-api',
    action: facts.method,
    resource: model === undefined ? 'ollama' : `ollama/${model}`,
    llm_action: route.llmAction,
  };
}

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

function askedMembers(asked: Asked, needs: InputNeeds): Partial<PolicyInput> {
  return {
    model_ref: asked.model,
    model_refs: [{ ...asked.model, part: 'model' }],
    stream: asked.stream,
    has_tools: asked.hasTools,
    ...(asked.hasTools && { tools: asked.toolNames }),
    has_system_prompt: asked.hasSystemPrompt,
    has_template: asked.hasTemplate,
    raw: asked.raw,
    has_context: asked.hasContext,
    debug: asked.debug,
    message_count: asked.messageCount,
    has_images: asked.imageCount > 0,
    image_count: asked.imageCount,
    prompt_bytes: asked.promptBytes,
    estimated_tokens: asked.estimatedTokens,
    ...(asked.options !== undefined && { options: asked.options }),
    ...(asked.keepAlive !== undefined && { keep_alive: asked.keepAlive }),
    ...(asked.format !== undefined && { format: asked.format }),
    ...(asked.maxTokens !== undefined && { max_tokens: asked.maxTokens }),
    ...contentMembers(asked, needs),
  };
}

/** A member that policy does not read is not even built: it is a getter where that costs something. */
function contentMembers(asked: Asked, needs: InputNeeds): Asked['content'] {
  const built: Partial<Record<ContentMember, unknown>> = {};
  for (const member of contentNames) {
    if (member in asked.content && (needs.all || needs.members.has(member))) built[member] = asked.content[member];
  }
  return built;
}
