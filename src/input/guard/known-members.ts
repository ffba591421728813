/**
 * The members that Ollama knows, from its Go types. Go's decoder takes a key that differs from a field's name only by case
 * as that field, so every struct at every depth matters; in maps and in `any` keys are exact.
 *
 * Source: Ollama 0.17.4, `api/types.go`, `openai/*.go`, `anthropic/anthropic.go`, by the `json` tags; embedded structs' fields count as the
 * outer one's. `scripts/known-members` prints the same table by reflection, to compare with when Ollama changes.
 */
import type { RequestType } from '../routes.ts';

/**
 * What stands under a member: keys that fold (struct), many of the same (list, map), keys that are exact (free), or a string
 * that Ollama decodes as an object with exact keys (json).
 */
export type Shape =
  | { readonly kind: 'free' | 'json' }
  | {
      readonly kind: 'struct';
      readonly members: ReadonlyMap<string, Shape>;
      readonly folded: ReadonlyMap<string, string>;
    }
  | { readonly kind: 'list' | 'map'; readonly of: Shape };

const free: Shape = { kind: 'free' };
const json: Shape = { kind: 'json' };

/**
 * Folds a key as Go's `encoding/json` does: two keys with the same result are the same field there. Beside ASCII letters
 * only the long s and the Kelvin sign fold to what can stand in a known name.
 */
export function foldKey(key: string): string {
  return key.replaceAll('\u017f', 's').replaceAll('\u212a', 'k').toLowerCase();
}

/** @param leaves names of members under which keys are exact, or which hold none */
function struct(leaves: string, nested: Readonly<Record<string, Shape>> = {}): Shape {
  const members = new Map<string, Shape>(Object.entries(nested));
  for (const name of leaves.split(' ').filter(Boolean)) members.set(name, free);
  return { kind: 'struct', members, folded: new Map([...members.keys()].map((name) => [foldKey(name), name])) };
}

function listOf(of: Shape): Shape {
  return { kind: 'list', of };
}

/** `api.ToolProperty` holds itself: `anyOf []ToolProperty` and `properties map[string]ToolProperty`. */
const toolProperty: Shape = struct('type items description enum', {
  anyOf: {
    kind: 'list',
    get of(): Shape {
      return toolProperty;
    },
  },
  properties: {
    kind: 'map',
    get of(): Shape {
      return toolProperty;
    },
  },
});

/** `api.ToolFunctionParameters` */
const toolParameters = struct('type $defs items required', { properties: { kind: 'map', of: toolProperty } });

/** `api.Tool`, in both chat dialects. */
const tool = struct('type items', { function: struct('name description', { parameters: toolParameters }) });

/** `api.Message` */
const message = struct('role content thinking images tool_name tool_call_id', {
  tool_calls: listOf(struct('id', { function: struct('index name arguments') })),
});

/** `openai.Message`; `content` is `any` there. */
const openaiMessage = struct('role content reasoning name tool_call_id', {
  tool_calls: listOf(struct('id index type', { function: struct('name', { arguments: json }) })),
});

/**
 * `openai.ResponsesInput`: each element is decoded into one of several structs, as its type says; here it has the members of
 * all. `parameters` is a map first and then decoded again into a struct.
 */
const responsesItem = struct('type role id call_id name output encrypted_content', {
  arguments: json,
  content: listOf(struct('type text detail file_id image_url')),
  summary: listOf(struct('type text')),
});

/** `api.ShowRequest` and others have the old name of `model` as well. */
const transfer = struct('model insecure username password stream name');

export const knownMembers: Readonly<Record<RequestType, Shape>> = {
  /** `api.ChatRequest` */
  'ollama.chat': struct(
    'model stream format keep_alive options think truncate shift _debug_render_only logprobs top_logprobs',
    { messages: listOf(message), tools: listOf(tool) },
  ),
  /** `api.GenerateRequest` */
  'ollama.generate': struct(
    'model prompt suffix system template context stream raw format keep_alive images options think truncate shift ' +
      '_debug_render_only logprobs top_logprobs width height steps',
  ),
  'ollama.embed': struct('model input keep_alive truncate dimensions options'),
  'ollama.embeddings': struct('model prompt keep_alive options'),
  'ollama.show': struct('model system template verbose options name'),
  'ollama.pull': transfer,
  'ollama.push': transfer,
  'ollama.create': struct(
    'model stream quantize from remote_host files adapters template license system parameters renderer parser requires ' +
      'info name quantization',
    { messages: listOf(message) },
  ),
  'ollama.copy': struct('source destination'),
  'ollama.delete': struct('model name'),
  /** `server.aliasEntry`, `server.aliasDeleteRequest` */
  'ollama.alias': struct('alias target prefix_matching'),
  'ollama.alias_delete': struct('alias'),
  /** `openai.ChatCompletionRequest` */
  'openai.chat': struct(
    'model stream max_tokens seed stop temperature frequency_penalty presence_penalty top_p reasoning_effort logprobs ' +
      'top_logprobs _debug_render_only',
    {
      messages: listOf(openaiMessage),
      stream_options: struct('include_usage'),
      response_format: struct('type', { json_schema: struct('schema') }),
      tools: listOf(tool),
      reasoning: struct('effort'),
    },
  ),
  /** `openai.CompletionRequest` */
  'openai.completion': struct(
    'model prompt frequency_penalty max_tokens presence_penalty seed stop stream temperature top_p suffix logprobs ' +
      '_debug_render_only',
    { stream_options: struct('include_usage') },
  ),
  'openai.embed': struct('input model dimensions encoding_format'),
  'openai.responses': struct(
    'model background conversation include instructions max_output_tokens temperature top_p truncation stream',
    {
      input: listOf(responsesItem),
      reasoning: struct('effort generate_summary summary'),
      text: struct('', { format: struct('type name schema strict') }),
      tools: listOf(struct('type name description strict', { parameters: toolParameters })),
    },
  ),
  'openai.image': struct('model prompt n size response_format seed'),
  'openai.image_edit': struct('model prompt image size seed'),
  /** `anthropic.MessagesRequest`; `system` and `content` are `any` there. */
  'anthropic.messages': struct('model max_tokens system stream temperature top_p top_k stop_sequences', {
    messages: listOf(struct('role content')),
    tools: listOf(struct('type name description max_uses', { input_schema: toolParameters })),
    tool_choice: struct('type name disable_parallel_tool_use'),
    thinking: struct('type budget_tokens'),
    metadata: struct('user_id'),
  }),
};
