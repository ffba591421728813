/**
 * What is tried on every member of every kind of request, one thing at a time, instead of by chance: said twice, spelled
 * otherwise, null, of each wrong type. And documents that are hostile as a whole.
 */
import type { Document, JudgedType } from './judge.ts';
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
const complete: Readonly<Record<JudgedType, object>> = {
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
export function* handmade(types: readonly JudgedType[]): Generator<Document> {
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
      yield Buffer.from(`{${JSON.stringify(escaped.slice(0, length))}:0,${text.slice(1)}`);
      yield Buffer.from(`{"${escaped}":"other",${text.slice(1)}`);
      yield Buffer.from(`${text.slice(0, -1)},"${escaped}":null}`);
    }
  }
}
