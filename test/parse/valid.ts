/** Documents as clients send them, more or less: what the mutations begin with. */
import type { RequestType } from '../../src/input/routes.ts';
import {
  argumentTexts,
  base64,
  durations,
  modelPieces,
  models,
  numbers,
  responseFormats,
  roles,
  urls,
  words,
} from './texts.ts';
import { type Node, pick, type Random, raw } from './tree.ts';

type Make = (random: Random) => Node;

const string =
  (...from: readonly (readonly string[])[]): Make =>
  (random) =>
    raw(JSON.stringify(pick(pick(from, random), random)));

const oneOf =
  (...makes: readonly Make[]): Make =>
  (random) =>
    pick(makes, random)(random);

const list =
  (of: Make, most = 3, least = 0): Make =>
  (random) => ({ kind: 'array', items: Array.from({ length: least + random(most + 1 - least) }, () => of(random)) });

/** @param shares in hundred; 100 where it is not said */
const object =
  (makes: Readonly<Record<string, Make>>, shares: Readonly<Record<string, number>> = {}): Make =>
  (random) => {
    const members = Object.entries(makes)
      .filter(([name]) => random(100) < (shares[name] ?? shares['*'] ?? 100))
      .map(([name, make]) => ({ key: JSON.stringify(name), value: make(random) }));
    for (let at = members.length - 1; at > 0; at--) {
      const other = random(at + 1);
      const [one, two] = [members[at], members[other]];
      if (one !== undefined && two !== undefined) [members[at], members[other]] = [two, one];
    }
    return { kind: 'object', members };
  };

const is =
  (...texts: readonly string[]): Make =>
  (random) =>
    raw(pick(texts, random));
const flag = is('true', 'false');
const plainInteger = is('0', '1', '7', '128', '-1', '4096');
const integer = oneOf(plainInteger, plainInteger, plainInteger, is(...numbers));
const decimal = is('0', '0.8', '1', '1.5', '-0', '1e-3');
const word = string(words);
const names = string(['get_weather', 'a', '', 'A b', 'é', 'search"', 'x'.repeat(70)]);

const composedModel: Make = (random) =>
  raw(JSON.stringify(Array.from({ length: random(7) }, () => pick(modelPieces, random)).join('')));
const tiny = is('"tiny"', '"tiny"', '"TINY:latest"', '"library/tiny"');
const model: Make = (random) => (random(12) > 0 ? tiny : oneOf(string(models), composedModel))(random);

/** Any JSON, for schemas and arguments. */
const anything: Make = (random) =>
  oneOf(
    word,
    decimal,
    is('null', 'true'),
    list(word),
    random(3) === 0 ? object({ a: anything, '': anything, ['__proto__']: word }, { '*': 50 }) : word,
  )(random);

const schema = object(
  { type: is('"object"'), properties: object({ a: anything, city: anything }, { '*': 50 }), required: list(word) },
  { '*': 60 },
);

const property: Make = (random) =>
  object(
    {
      type: oneOf(is('"string"'), is('["string","null"]'), anything),
      description: word,
      enum: list(anything),
      items: anything,
      anyOf: random(4) === 0 ? list(property, 2) : is('[]'),
      properties: random(4) === 0 ? object({ b: property }) : is('{}'),
    },
    { type: 80, '*': 20 },
  )(random);

const tools = list(
  object(
    {
      type: is('"function"'),
      function: object(
        {
          name: names,
          description: word,
          parameters: object(
            {
              type: is('"object"'),
              properties: object({ city: property, ['__proto__']: property, Type: property }, { '*': 50 }),
              required: list(names),
              $defs: anything,
              items: anything,
            },
            { '*': 50 },
          ),
        },
        { name: 95, '*': 60 },
      ),
      items: anything,
    },
    { items: 10 },
  ),
  2,
);

const options = object(
  {
    num_predict: integer,
    temperature: decimal,
    seed: integer,
    stop: oneOf(list(word), is('null')),
    num_ctx: integer,
    use_mmap: flag,
    Num_Predict: anything,
    unknown: anything,
  },
  { num_predict: 40, '*': 20 },
);

const keepAlive = oneOf(integer, string(durations), is('null'));
const format = oneOf(is('"json"', '""', 'null', '{}'), schema);
const think = is('true', 'false', '"high"', '"low"', 'null');

const ollamaMessage = object(
  {
    role: oneOf(is('"user"', '"system"', '"assistant"'), string(roles)),
    content: word,
    thinking: word,
    images: list(string(base64), 2),
    tool_calls: list(
      object(
        {
          id: word,
          function: object({ index: integer, name: names, arguments: oneOf(schema, is('{}', 'null')) }, { index: 30 }),
        },
        { id: 40 },
      ),
      2,
    ),
    tool_name: names,
    tool_call_id: word,
  },
  { role: 95, content: 90, '*': 15 },
);

const part = oneOf(
  object({ type: is('"text"'), text: word }),
  object({ type: is('"text"'), text: word }),
  object({ type: is('"image_url"'), image_url: oneOf(string(urls), object({ url: string(urls), detail: word })) }),
);

const openaiMessage = object(
  {
    role: oneOf(is('"user"', '"system"', '"assistant"'), string(roles)),
    content: oneOf(word, word, word, list(part, 3, 1)),
    reasoning: word,
    name: names,
    tool_calls: list(
      object({
        id: word,
        type: is('"function"'),
        index: is('0'),
        function: object({ name: names, arguments: oneOf(is('"{}"'), string(argumentTexts)) }),
      }),
      2,
    ),
    tool_call_id: word,
  },
  { role: 95, content: 95, '*': 20 },
);

const streaming = { stream: oneOf(flag, flag, is('null')) };
const ollamaCommon = {
  ...streaming,
  format,
  keep_alive: keepAlive,
  options,
  think,
  truncate: flag,
  shift: flag,
  _debug_render_only: flag,
  logprobs: flag,
  top_logprobs: is('0', '20', '3'),
  metadata: anything,
};

const input = oneOf(word, list(word), is('null', '[]', '[1]'));

const responsesPart = oneOf(
  object({ type: is('"input_text"', '"output_text"'), text: word }),
  object({ type: is('"input_text"'), text: word }),
  object({ type: is('"input_image"'), image_url: string(urls), detail: word, file_id: word }, { file_id: 10, '*': 90 }),
);

const responsesItem = oneOf(
  object(
    {
      type: is('"message"'),
      role: oneOf(is('"user"', '"assistant"', '"system"', '"developer"'), string(roles)),
      content: oneOf(word, list(responsesPart)),
    },
    { type: 50 },
  ),
  object({
    type: is('"function_call"'),
    id: word,
    call_id: word,
    name: names,
    arguments: oneOf(is('"{}"', '""'), string(argumentTexts)),
  }),
  object({ type: is('"function_call_output"'), call_id: word, output: word }),
  object({ type: is('"reasoning"'), summary: list(object({ type: word, text: word })), encrypted_content: word }),
);

const searched = oneOf(
  object(
    {
      type: is('"web_search_result"'),
      title: word,
      url: string(urls),
      encrypted_content: word,
      page_age: oneOf(word, is('null', '1')),
    },
    { type: 90, '*': 70 },
  ),
  object({ type: is('"web_search_tool_result_error"'), error_code: oneOf(word, is('null', '1')) }, { error_code: 80 }),
);

const block = oneOf(
  object({ type: is('"text"'), text: word, citations: anything }, { citations: 5 }),
  object({ type: is('"text"'), text: word }),
  object({
    type: is('"image"'),
    source: object({ type: is('"base64"'), media_type: is('"image/png"'), data: string(base64) }),
  }),
  object({ type: is('"tool_use"', '"server_tool_use"'), id: word, name: names, input: oneOf(schema, anything) }),
  object({
    type: is('"tool_result"'),
    tool_use_id: word,
    content: oneOf(word, list(object({ type: is('"text"'), text: word })), anything),
    is_error: flag,
  }),
  object({ type: is('"thinking"'), thinking: word, signature: word }),
  object(
    {
      type: is('"web_search_tool_result"'),
      tool_use_id: word,
      content: oneOf(word, list(searched), searched, anything),
    },
    { content: 90 },
  ),
);

const transfer = object(
  {
    model,
    name: model,
    stream: oneOf(flag, is('null')),
    insecure: flag,
    username: word,
    password: word,
    other: anything,
  },
  { model: 80, '*': 30 },
);

const remotes = [
  'ollama.com',
  'https://ollama.com',
  'http://10.0.0.1:11434',
  'example.com:80/path',
  'HTTPS://Example.COM',
  '/path',
  '',
  'http://a@b',
  'http://a\\b',
  '[::1]:5',
  'ftp://x.y',
  '://x',
  'x://',
  'http://[fe80::1%25en0]/',
  'http://a%2eb',
  'a b',
  'http://a/../b',
  'http://a:99999',
  'a:b',
  'x?y',
  'x#y',
  'http:///x',
  '//x',
];

const makers: Readonly<Record<RequestType, Make>> = {
  'ollama.chat': object(
    { model, messages: list(ollamaMessage), tools, ...ollamaCommon },
    { model: 98, messages: 95, '*': 20 },
  ),
  'ollama.generate': object(
    {
      model,
      prompt: word,
      suffix: word,
      system: word,
      template: word,
      context: list(plainInteger),
      raw: flag,
      images: list(string(base64), 2),
      ...ollamaCommon,
      width: plainInteger,
      height: plainInteger,
      steps: plainInteger,
    },
    { model: 98, prompt: 90, '*': 15 },
  ),
  'ollama.embed': object(
    {
      model,
      input,
      keep_alive: keepAlive,
      truncate: flag,
      dimensions: plainInteger,
      options,
      prompt: word,
      metadata: anything,
    },
    { model: 98, input: 90, '*': 20 },
  ),
  'ollama.embeddings': object(
    { model, prompt: word, keep_alive: keepAlive, options, input, metadata: anything },
    { model: 98, prompt: 90, '*': 20 },
  ),
  'ollama.show': object(
    { model, name: model, system: word, template: word, verbose: flag, options, other: anything },
    { model: 80, '*': 30 },
  ),
  'ollama.pull': transfer,
  'ollama.push': transfer,
  'ollama.create': object(
    {
      model,
      name: model,
      from: model,
      remote_host: string(remotes),
      stream: oneOf(flag, is('null')),
      quantize: word,
      files: object({ 'a.gguf': is('"sha256:0"') }),
      adapters: object({ a: word }),
      template: word,
      license: oneOf(word, list(word)),
      system: word,
      parameters: options,
      messages: list(ollamaMessage),
      renderer: word,
      parser: word,
      requires: word,
      info: object({ a: anything }),
      quantization: word,
    },
    { model: 85, from: 60, '*': 20 },
  ),
  'ollama.copy': object({ source: model, destination: model, model: word }, { model: 10, '*': 95 }),
  'ollama.delete': object({ model, name: model }, { model: 70, name: 40 }),
  'ollama.alias': object(
    { alias: model, target: model, prefix_matching: flag, model: word },
    { alias: 95, target: 95, '*': 20 },
  ),
  'ollama.alias_delete': object({ alias: model, target: model }, { alias: 95, target: 10 }),
  'openai.completion': object(
    {
      model,
      prompt: word,
      suffix: word,
      ...streaming,
      stream_options: object({ include_usage: flag }),
      max_tokens: integer,
      seed: plainInteger,
      stop: oneOf(word, list(word), is('null')),
      temperature: decimal,
      frequency_penalty: decimal,
      presence_penalty: decimal,
      top_p: decimal,
      logprobs: is('0', '5', 'null'),
      _debug_render_only: flag,
      metadata: anything,
      system: word,
      messages: list(openaiMessage),
    },
    { model: 98, prompt: 90, '*': 15 },
  ),
  'openai.embed': object(
    {
      model,
      input,
      dimensions: plainInteger,
      encoding_format: is('"float"', '"BASE64"', '""'),
      options,
      keep_alive: keepAlive,
    },
    { model: 98, input: 95, '*': 20 },
  ),
  'openai.responses': object(
    {
      model,
      input: oneOf(word, list(responsesItem), list(responsesItem)),
      instructions: word,
      ...streaming,
      max_output_tokens: integer,
      temperature: decimal,
      top_p: decimal,
      background: flag,
      conversation: anything,
      include: list(word),
      reasoning: object({ effort: word, summary: word }),
      text: object({
        format: object({
          type: is('"json_schema"', '"text"', '" json_schema"', '"JSON_SCHEMA"'),
          name: word,
          schema: oneOf(schema, is('null', '""', '"json"')),
        }),
      }),
      truncation: is('"auto"', 'null'),
      tools: list(
        object(
          { type: is('"function"'), name: names, description: word, strict: flag, parameters: schema },
          { name: 95, '*': 60 },
        ),
      ),
      metadata: anything,
      options,
    },
    { model: 98, input: 95, '*': 15 },
  ),
  'openai.image': object(
    {
      model,
      prompt: word,
      n: plainInteger,
      size: is('"1024x768"', '"x"'),
      response_format: word,
      seed: plainInteger,
      stream: flag,
    },
    { model: 98, prompt: 98, '*': 20 },
  ),
  'openai.image_edit': object(
    { model, prompt: word, image: string(urls), size: is('"1024x768"', '"x"'), seed: plainInteger, stream: flag },
    { model: 98, prompt: 98, image: 98, '*': 20 },
  ),
  'anthropic.messages': object(
    {
      model,
      max_tokens: oneOf(is('5', '1024'), is('5', '1024'), is('5', '1024'), integer),
      messages: list(
        object(
          {
            role: oneOf(is('"user"', '"assistant"'), is('"user"', '"assistant"'), string(roles)),
            content: oneOf(word, list(block), list(block)),
          },
          { role: 98, content: 98 },
        ),
        3,
        1,
      ),
      system: oneOf(word, list(object({ type: is('"text"'), text: word })), anything),
      ...streaming,
      temperature: decimal,
      top_p: decimal,
      top_k: plainInteger,
      stop_sequences: list(word),
      tools: list(
        object(
          {
            type: is('"custom"', '"web_search_20250305"', '""', '"Web_search"'),
            name: oneOf(names, is('"web_search"')),
            description: word,
            input_schema: schema,
            max_uses: plainInteger,
          },
          { type: 50, name: 95, '*': 60 },
        ),
      ),
      tool_choice: object({ type: word, name: word, disable_parallel_tool_use: flag }),
      thinking: object({ type: is('"enabled"', '"disabled"'), budget_tokens: plainInteger }),
      metadata: object({ user_id: word }),
    },
    { model: 98, max_tokens: 98, messages: 98, system: 40, '*': 15 },
  ),
  'openai.chat': object(
    {
      model,
      messages: list(openaiMessage, 3, 1),
      tools,
      ...streaming,
      stream_options: object({ include_usage: flag }),
      max_tokens: integer,
      max_completion_tokens: integer,
      seed: plainInteger,
      stop: oneOf(word, list(word), is('null')),
      temperature: decimal,
      frequency_penalty: decimal,
      presence_penalty: decimal,
      top_p: decimal,
      response_format: object(
        {
          type: oneOf(is('"json_schema"'), string(responseFormats)),
          json_schema: object({ name: word, schema: oneOf(schema, is('null', '""', '"json"')) }),
        },
        { json_schema: 70 },
      ),
      reasoning: object({ effort: is('"low"', '"none"', '""') }),
      reasoning_effort: is('"high"', '"x"', 'null'),
      logprobs: flag,
      top_logprobs: is('0', '20', '3'),
      _debug_render_only: flag,
      metadata: anything,
      options,
    },
    { model: 98, messages: 98, '*': 15 },
  ),
};

export function makeValid(type: RequestType, random: Random): Node {
  return makers[type](random);
}
