import type { PolicyInput } from '../types.ts';
import { type ContentMember, contentMembers } from './ask/asked.ts';

/** What a caller may have recorded of words that it chose itself: a name, nothing that a sentence fits into. */
const nameLike = /^[\w.:/@+-]{1,128}$/;

/**
 * Every member of the input but the caller's text, named one by one: a member that is added to the input does not compile
 * until someone has thought about its place in the record.
 */
type Recorded = Readonly<Record<Exclude<keyof PolicyInput, ContentMember>, unknown>>;

/**
 * The input as it may be recorded: enough to replay a decision that reads no content. Where the caller could have put a
 * text (a stop sequence, a schema, a tool called by a sentence, metadata), only what looks like a name or a number stays.
 *
 * @returns members that are not there are undefined, which JSON leaves out; `erased` names those of which something was
 *   left out, if any
 */
export function withoutContent(input: PolicyInput): Recorded & { readonly erased: readonly string[] | undefined } {
  const erased: string[] = [];
  for (const name of contentMembers) {
    if (input[name] !== undefined) erased.push(name);
  }
  return {
    version: input.version,
    phase: input.phase,
    request_id: input.request_id,
    decision_id: input.decision_id,
    api: input.api,
    operation: input.operation,
    method: input.method,
    path: input.path,
    principal: input.principal,
    agent_role: input.agent_role,
    model: input.model,
    model_ref: input.model_ref,
    model_refs: input.model_refs,
    stream: input.stream,
    has_tools: input.has_tools,
    tools: keepNames(input.tools, erased),
    server_tools: input.server_tools,
    has_system_prompt: input.has_system_prompt,
    has_template: input.has_template,
    raw: input.raw,
    has_context: input.has_context,
    debug: input.debug,
    message_count: input.message_count,
    has_images: input.has_images,
    image_count: input.image_count,
    prompt_bytes: input.prompt_bytes,
    estimated_tokens: input.estimated_tokens,
    options: keepMembers('options', input.options, isNumber, erased),
    keep_alive: keepValue('keep_alive', input.keep_alive, erased),
    format: keepValue('format', input.format, erased),
    max_tokens: input.max_tokens,
    client: input.client,
    now_ns: input.now_ns,
    metadata: keepMembers('metadata', input.metadata, isNameOrNumber, erased),
    mcp_server: input.mcp_server,
    tool_name: input.tool_name,
    action: input.action,
    resource: input.resource,
    llm_action: input.llm_action,
    erased: erased.length === 0 ? undefined : erased,
  };
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number' || typeof value === 'boolean';
}

function isNameOrNumber(value: unknown): boolean {
  return isNumber(value) || (typeof value === 'string' && nameLike.test(value));
}

function keepValue(name: string, value: unknown, erased: string[]): unknown {
  if (value === undefined || isNameOrNumber(value)) return value;
  erased.push(name);
  return undefined;
}

function keepNames(tools: readonly string[] | undefined, erased: string[]): readonly string[] | undefined {
  const kept = tools?.filter((name) => nameLike.test(name));
  if (kept?.length !== tools?.length) erased.push('tools');
  return kept;
}

function keepMembers(
  name: string,
  object: Readonly<Record<string, unknown>> | undefined,
  keep: (value: unknown) => boolean,
  erased: string[],
): Readonly<Record<string, unknown>> | undefined {
  if (object === undefined) return undefined;
  const all = Object.entries(object);
  const kept = all.filter(([key, value]) => nameLike.test(key) && keep(value));
  if (kept.length === all.length) return object;
  erased.push(name);
  return Object.fromEntries(kept);
}
