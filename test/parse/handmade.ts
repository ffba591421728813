/**
 * What is tried on every member of every kind of request, one thing at a time, instead of by chance: said twice, spelled
 * otherwise, null, of each wrong type. And documents that are hostile as a whole.
 */
import type { RequestType } from '../../src/input/routes.ts';
import type { Document } from './judge.ts';
import { numbers, values } from './texts.ts';
import { copy, fromValue, type Member, type Node, nodes, raw, write } from './tree.ts';

const tool = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'd',
    parameters: {
      type: 'object',
      required: ['city'],
      properties: {
        city: {
          type: 'string',
          description: 'd',
          enum: ['a'],
          anyOf: [{ type: 'string' }],
          items: {},
          properties: { x: { type: 'string' } },
        },
      },
    },
  },
};
const transfer = { model: 'tiny', name: 'other', stream: false, insecure: false, username: 'u', password: 'p' };
const ollamaCommon = {
  model: 'tiny',
  stream: false,
  format: { type: 'object' },
  keep_alive: '5m',
  options: { num_predict: 5, stop: ['a'], temperature: 0.5 },
  think: false,
  truncate: true,
  shift: true,
  _debug_render_only: false,
  logprobs: false,
  top_logprobs: 1,
};

/** With every member that Ollama knows. */
const complete: Readonly<Record<RequestType, object>> = {
  'ollama.chat': {
    ...ollamaCommon,
    messages: [
      {
        role: 'user',
        content: 'c',
        thinking: 't',
        images: ['aGk='],
        tool_calls: [{ id: 'i', function: { index: 0, name: 'n', arguments: { city: 'Paris', deep: { a: [1] } } } }],
        tool_name: 'tn',
        tool_call_id: 'ti',
      },
      { role: 'system', content: 's' },
    ],
    tools: [tool],
  },
  'ollama.generate': {
    ...ollamaCommon,
    prompt: 'p',
    suffix: 'su',
    system: 's',
    template: 't',
    context: [1, 2],
    raw: false,
    images: ['aGk='],
    width: 1,
    height: 1,
    steps: 1,
  },
  'ollama.embed': {
    model: 'tiny',
    input: ['a', 'b'],
    keep_alive: '5m',
    truncate: true,
    dimensions: 4,
    options: { num_ctx: 5 },
  },
  'ollama.embeddings': { model: 'tiny', prompt: 'p', keep_alive: '5m', options: { num_ctx: 5 } },
  'ollama.show': { model: 'tiny', name: 'other', system: 's', template: 't', verbose: true, options: { a: 1 } },
  'ollama.pull': transfer,
  'ollama.push': transfer,
  'ollama.create': {
    model: 'made',
    name: 'made-too',
    from: 'tiny',
    remote_host: 'http://example.com:11434',
    stream: false,
    quantize: 'q4_0',
    files: { 'a.gguf': 'sha256:0' },
    adapters: { a: 'sha256:0' },
    template: 't',
    license: ['l'],
    system: 's',
    parameters: { num_predict: 5 },
    messages: [{ role: 'user', content: 'c' }],
    renderer: 'r',
    parser: 'p',
    requires: 'q',
    info: { a: 1 },
    quantization: 'q4_0',
  },
  'ollama.copy': { source: 'tiny', destination: 'copied' },
  'ollama.delete': { model: 'tiny', name: 'other' },
  'ollama.alias': { alias: 'short', target: 'tiny', prefix_matching: false },
  'ollama.alias_delete': { alias: 'short' },
  'openai.completion': {
    model: 'tiny',
    prompt: 'p',
    suffix: 's',
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 5,
    seed: 1,
    stop: ['a'],
    temperature: 1,
    frequency_penalty: 0,
    presence_penalty: 0,
    top_p: 1,
    logprobs: 1,
    _debug_render_only: false,
  },
  'openai.embed': { model: 'tiny', input: ['a', 'b'], dimensions: 4, encoding_format: 'float' },
  'openai.responses': {
    model: 'tiny',
    input: [
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 't' }] },
      { role: 'system', content: 's' },
      {
        type: 'message',
        role: 'user',
        content: [{ type: 'input_image', detail: 'auto', file_id: 'f', image_url: 'data:image/png;base64,aGk=' }],
      },
      { type: 'reasoning', id: 'i', summary: [{ type: 'summary_text', text: 't' }], encrypted_content: 'e' },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'o' }] },
      { type: 'function_call', id: 'i', call_id: 'c', name: 'n', arguments: '{"a":1}' },
      { type: 'function_call_output', call_id: 'c', output: 'o' },
    ],
    instructions: 's',
    stream: true,
    max_output_tokens: 5,
    temperature: 1,
    top_p: 1,
    background: false,
    conversation: 'c',
    include: ['i'],
    reasoning: { effort: 'low', generate_summary: 'auto', summary: 'auto' },
    text: { format: { type: 'json_schema', name: 'n', schema: { type: 'object' }, strict: true } },
    truncation: 'auto',
    tools: [{ ...tool.function, type: 'function', strict: true }],
  },
  'openai.image': { model: 'tiny', prompt: 'p', n: 1, size: '8x8', response_format: 'b64_json', seed: 1 },
  'openai.image_edit': { model: 'tiny', prompt: 'p', image: 'data:image/png;base64,aGk=', size: '8x8', seed: 1 },
  'anthropic.messages': {
    model: 'tiny',
    max_tokens: 5,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 't' },
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'aGk=' } },
          { type: 'tool_result', tool_use_id: 'i', content: [{ type: 'text', text: 'r' }], is_error: false },
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 't', signature: 's' },
          { type: 'tool_use', id: 'i', name: 'n', input: { a: 1 } },
          {
            type: 'web_search_tool_result',
            tool_use_id: 'i',
            content: [{ type: 'web_search_result', title: 't', url: 'u' }],
          },
          {
            type: 'web_search_tool_result',
            tool_use_id: 'i',
            content: { type: 'web_search_tool_result_error', error_code: 'e' },
          },
        ],
      },
      { role: 'system', content: 's' },
    ],
    system: [{ type: 'text', text: 's' }],
    stream: true,
    temperature: 1,
    top_p: 1,
    top_k: 1,
    stop_sequences: ['a'],
    tools: [
      { type: 'custom', name: 'web_search', description: 'd', input_schema: tool.function.parameters },
      { type: 'web_search_20250305', name: 'find', max_uses: 1 },
    ],
    tool_choice: { type: 'auto', name: 'n', disable_parallel_tool_use: false },
    thinking: { type: 'enabled', budget_tokens: 5 },
    metadata: { user_id: 'u' },
  },
  'openai.chat': {
    model: 'tiny',
    messages: [
      {
        role: 'user',
        content: [
          { type: 'text', text: 't' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,aGk=' } },
        ],
        reasoning: 'r',
        name: 'n',
        tool_calls: [{ id: 'i', index: 0, type: 'function', function: { name: 'f', arguments: '{"a":1}' } }],
        tool_call_id: 'ti',
      },
      { role: 'system', content: 's' },
    ],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 5,
    seed: 1,
    stop: ['a'],
    temperature: 1,
    frequency_penalty: 0,
    presence_penalty: 0,
    top_p: 1,
    response_format: { type: 'json_schema', json_schema: { schema: { type: 'object' } } },
    tools: [tool],
    reasoning: { effort: 'low' },
    reasoning_effort: 'low',
    logprobs: false,
    top_logprobs: 1,
    _debug_render_only: false,
  },
};

/** Changes one member of the object that holds it. */
type Change = (members: Member[], at: number, member: Member) => void;

function* changes(): Generator<Change> {
  const spellings: ReadonlyArray<(key: string) => string> = [
    (key) => key,
    (key) => key.toUpperCase(),
    (key) => key.replace(/[a-z]/, (letter) => letter.toUpperCase()),
    (key) => key.replace('s', '\u017f'),
    (key) => key.replace('k', '\u212a'),
    (key) => key.replace('s', '\\u017f').replace('k', '\\u212a'),
    (key) => key.replace(/\w/, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`),
    (key) => key.replace(/\w(?=")/, (letter) => `\\u00${letter.charCodeAt(0).toString(16).toUpperCase()}`),
    (key) => key.replace(/"$/, ' "'),
    (key) => key.replace(/"$/, '\\u0000"'),
    (key) => key.replace('_', '-'),
    (key) => key.replaceAll('_', ''),
  ];
  for (const spell of spellings) {
    yield (_members, _at, member) => {
      member.key = spell(member.key);
    };
    for (const value of ['null', '"other"', 'false', '0', '{}', '[]']) {
      yield (members, at, { key }) => members.splice(at + 1, 0, { key: spell(key), value: raw(value) });
      yield (members, at, { key }) => members.splice(at, 0, { key: spell(key), value: raw(value) });
    }
    yield (members, at, { key, value }) => members.splice(at, 0, { key: spell(key), value: copy(value) });
  }
  for (const value of [...values, ...numbers]) {
    yield (_members, _at, member) => {
      member.value = raw(value);
    };
  }
  yield (members, at) => members.splice(at, 1);
  yield (_members, _at, member) => {
    member.value = { kind: 'array', items: [member.value, copy(member.value), raw('null')] };
  };
}

/** @yields one document for each member at each depth and each change */
export function* handmade(types: readonly RequestType[]): Generator<Document> {
  const all = [...changes()];
  for (const type of types) {
    const places = [...objects(fromValue(complete[type]))].map(({ members }) => members.length);
    for (const [which, count] of places.entries()) {
      for (let at = 0; at < count; at++) {
        for (const change of all) {
          const root = fromValue(complete[type]);
          const members = [...objects(root)][which]?.members;
          const member = members?.[at];
          if (members === undefined || member === undefined) continue;
          change(members, at, member);
          yield { type, bytes: Buffer.from(write(root, () => '')) };
        }
      }
    }
    for (const bytes of wholes(write(fromValue(complete[type]), () => ''))) yield { type, bytes };
  }
}

function* objects(root: Node): Generator<Extract<Node, { kind: 'object' }>> {
  for (const node of nodes(root)) if (node.kind === 'object') yield node;
}

function* wholes(text: string): Generator<Buffer> {
  const bytes = Buffer.from(text);
  yield bytes;
  yield Buffer.alloc(0);
  for (const before of ['\ufeff', ' ', '\n\t\r ', '\u0000', '\f', '\u00a0', '[', '//\n', '\u001e'])
    yield Buffer.from(before + text);
  for (const behind of [' ', '\n', '\u0000', '{}', text, ',', ']', 'x', '\ufeff', '\u001a'])
    yield Buffer.from(text + behind);
  yield Buffer.from(`[${text}]`);
  yield Buffer.from(JSON.stringify(text));
  for (const encoding of ['utf16le', 'latin1', 'base64'] as const) yield Buffer.from(text, encoding);
  for (const depth of [62, 63, 64, 9_998, 10_001]) {
    yield Buffer.from(`{"deep":${'['.repeat(depth)}${']'.repeat(depth)},${text.slice(1)}`);
    yield Buffer.from(`{"deep":${'{"a":'.repeat(depth)}0${'}'.repeat(depth)},${text.slice(1)}`);
  }
  for (const noise of [0xff, 0xc0, 0xed, 0xf8]) {
    for (const at of [1, 2, 9, bytes.length - 2])
      yield Buffer.concat([bytes.subarray(0, at), Buffer.from([noise]), bytes.subarray(at)]);
  }
  // Decision 006: the first of each pair makes V8 guess the key of the second.
  for (const name of ['model', 'messages', 'prompt', 'stream', 'system']) {
    const escaped = `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
    for (let length = 1; length <= escaped.length; length++) {
      yield Buffer.from(`${text.slice(0, -1)},${JSON.stringify(escaped.slice(0, length))}:0}`);
      for (const value of ['"other"', 'null', 'true']) yield Buffer.from(`${text.slice(0, -1)},"${escaped}":${value}}`);
    }
  }
}
