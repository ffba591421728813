/**
 * The sidecar's input document in the judge's words (`judge/projection.go`). Made only of documents that Ollama took, so
 * types are as it wants them.
 */
import type { RequestType } from '../../src/input/routes.ts';
import type { NamedModel, PolicyInput } from '../../src/types.ts';
import { type Json, list, looseMessages, objects, toOllamaMessages } from './messages.ts';

export function project(type: RequestType, input: PolicyInput, includeUsage: boolean): Json {
  // Elsewhere `system` is a message to Ollama.
  const ownSystem = type.startsWith('ollama.');
  const embeds = type === 'ollama.embed' || type === 'openai.embed';
  return {
    models: modelsOf(input.model_refs ?? []),
    remote_host: input.model_refs?.find(({ part }) => part === 'remote_host')?.host.replace(/^\[|\]$/g, '') ?? '',
    stream: input.stream ?? false,
    include_usage: includeUsage,
    message_count: input.message_count ?? 0,
    messages: arrange(type, toOllamaMessages(type, input.messages, ownSystem ? undefined : input.system)),
    tools: toolsOf(type, input.tools ?? []),
    server_tools: input.server_tools ?? [],
    inputs: embeds ? [input.prompt ?? ''].flat().filter((text) => text !== '') : [],
    prompt: embeds ? '' : (input.prompt ?? ''),
    suffix: input.suffix ?? '',
    system: ownSystem ? (input.system ?? '') : '',
    template: input.template ?? '',
    has_system_prompt: input.has_system_prompt ?? false,
    has_template: input.has_template ?? false,
    has_context: input.has_context ?? false,
    raw: input.raw ?? false,
    debug: input.debug ?? false,
    image_count: input.image_count ?? 0,
    keep_alive: nanoseconds(input.keep_alive),
    format: input.format ?? null,
    max_tokens: input.max_tokens ?? 0,
    // In the other dialects Ollama makes options of other members.
    ...(ownSystem && { options: input.options ?? null }),
  };
}

/** The judge's answer with the same left out as in ours. */
export function arrangeTheirs(type: RequestType, theirs: Json): Json {
  return {
    ...theirs,
    messages: arrange(type, objects(theirs['messages'])),
    tools: toolsOf(type, list(theirs['tools'])),
    server_tools: list(theirs['server_tools']),
    inputs: list(theirs['inputs']).filter((text) => text !== ''),
  };
}

function arrange(type: RequestType, messages: readonly Json[]): readonly Json[] {
  if (type === 'openai.responses') return looseMessages(messages);
  if (type !== 'anthropic.messages') return messages;
  // Blocks of which nothing is left make no message.
  return messages.filter(
    ({ content, thinking, images, tool_calls: calls }) =>
      content !== '' || thinking !== '' || list(images).length > 0 || list(calls).length > 0,
  );
}

/** Where Ollama runs `web_search` itself it drops the caller's own tool of that name: the policy sees it twice. */
function toolsOf(type: RequestType, names: readonly unknown[]): readonly unknown[] {
  return type === 'anthropic.messages' ? [...new Set(names)].sort() : names;
}

/** A policy sees `name` beside `model`, which Ollama then does not look at; and where a model forwards to, apart here. */
function modelsOf(refs: readonly NamedModel[]): readonly Json[] {
  const both = refs.some(({ part }) => part === 'model');
  return refs
    .filter(({ part }) => part !== 'remote_host' && !(both && part === 'name'))
    .map(({ part, full }) => ({ part, full }));
}

const unit: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 6e10,
  h: 36e11,
};
const forever = 2 ** 63;

/** `api.Duration`: a number is seconds, a negative one for ever; a string is Go's. */
function nanoseconds(value: unknown): number | null {
  if (value === undefined) return null;
  if (typeof value === 'number') return value < 0 ? forever : Math.trunc(value * 1e9);
  let sum = 0;
  for (const [, number, name = ''] of String(value).matchAll(/([\d.]+)([a-zµμ]+)/gu)) {
    sum += Number(number) * (unit[name] ?? Number.NaN);
  }
  return String(value).startsWith('-') && sum > 0 ? forever : sum;
}
