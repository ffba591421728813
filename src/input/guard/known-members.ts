/**
 * The members that Ollama knows, from its Go types. Go's decoder takes a key that differs from a field's name only by case
 * as that field, so every struct at every depth matters; in maps and in `any` keys are exact.
 *
 * Source: Ollama 0.17.4, `api/types.go` and `openai/openai.go`, by the `json` tags; embedded structs' fields count as the
 * outer one's. `scripts/known-members` prints the same table by reflection, to compare with when Ollama changes.
 */
import type { RequestType } from '../routes.ts';

/** What stands under a member: keys that fold (struct), many of the same (list, map), or keys that are exact (free). */
export type Shape =
  | { readonly kind: 'free' }
  | {
      readonly kind: 'struct';
      readonly members: ReadonlyMap<string, Shape>;
      readonly folded: ReadonlyMap<string, string>;
    }
  | { readonly kind: 'list' | 'map'; readonly of: Shape };

const free: Shape = { kind: 'free' };

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
  for (const name of leaves.split(' ')) members.set(name, free);
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

/** `api.Tool`, in both dialects. */
const tool = struct('type items', {
  function: struct('name description', {
    parameters: struct('type $defs items required', { properties: { kind: 'map', of: toolProperty } }),
  }),
});

/** `api.Message` */
const message = struct('role content thinking images tool_name tool_call_id', {
  tool_calls: listOf(struct('id', { function: struct('index name arguments') })),
});

/** `openai.Message`; `content` is `any` there. */
const openaiMessage = struct('role content reasoning name tool_call_id', {
  tool_calls: listOf(struct('id index type', { function: struct('name arguments') })),
});

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
};
