/** What Ollama's middleware makes of the messages of each dialect, made of what a policy is told of them. */
import type { RequestType } from '../../src/input/routes.ts';
import { readNaively } from '../input/naive-json.ts';

export type Json = Readonly<Record<string, unknown>>;

/** @param messages the input's own; with them goes what the dialect has beside them as `system` */
export function toOllamaMessages(type: RequestType, messages: unknown, system: unknown): readonly Json[] {
  const first = system === undefined ? [] : [message('system', { content: system })];
  switch (type) {
    case 'openai.chat':
      return objects(messages).flatMap(fromOpenai);
    case 'openai.responses':
      return [...first, ...objects(messages).map(fromResponses)];
    case 'anthropic.messages':
      return [...first, ...objects(messages).flatMap(fromAnthropic)];
    default:
      return objects(messages).map(fromOllama);
  }
}

function message(role: unknown, members: Json): Json {
  return { role, content: '', thinking: '', images: [], tool_calls: [], tool_call_id: '', ...members };
}

function fromOllama(given: Json): Json {
  return message(given['role'] ?? '', {
    content: given['content'] ?? '',
    thinking: given['thinking'] ?? '',
    images: list(given['images']).map((image) => bytesOf(textOr(image))),
    tool_calls: objects(given['tool_calls']).map((call) => {
      const { name, arguments: members } = object(call['function']);
      return { id: call['id'] ?? '', name: name ?? '', arguments: members ?? {} };
    }),
    tool_name: given['tool_name'] ?? '',
    tool_call_id: given['tool_call_id'] ?? '',
  });
}

/** `openai.FromChatRequest`: each part of a list is a message of its own, tool calls ride on the last one. */
function fromOpenai(given: Json): readonly Json[] {
  const { role, content, reasoning, tool_call_id: id } = given;
  const calls = objects(given['tool_calls']).map((call) => {
    const { name, arguments: text } = object(call['function']);
    return { id: call['id'] ?? '', name: name ?? '', arguments: readArguments(text) };
  });
  const tail = { thinking: reasoning ?? '', tool_calls: calls, tool_call_id: id ?? '' };
  if (!Array.isArray(content)) return [message(role ?? '', { content: content ?? '', ...tail })];
  return objects(content).map((part, at) =>
    message(role ?? '', {
      ...(part['type'] === 'text' && { content: part['text'] }),
      ...(part['type'] === 'image_url' && { images: [dataOf(part['image_url'])] }),
      ...(at === content.length - 1 && calls.length > 0 && tail),
    }),
  );
}

/** `openai.FromResponsesRequest`, without the joining of neighbours. */
function fromResponses(item: Json): Json {
  switch (item['type']) {
    case 'reasoning':
      return message('assistant', { thinking: item['thinking'] ?? '' });
    case 'function_call': {
      const call = {
        id: item['call_id'] ?? '',
        name: item['name'] ?? '',
        arguments: readArguments(item['arguments'] || '{}'),
      };
      return message('assistant', { tool_calls: [call] });
    }
    case 'function_call_output':
      return message('tool', { content: item['content'] ?? '', tool_call_id: item['call_id'] ?? '' });
    default: {
      const { role, content } = item;
      if (!Array.isArray(content)) return message(role, { content: content ?? '' });
      const images = objects(content).filter(
        (part) => part['type'] === 'input_image' && (part['image_url'] ?? '') !== '',
      );
      return message(role, {
        content: objects(content)
          .map((part) => (part['type'] === 'input_image' ? '' : (part['text'] ?? '')))
          .join(''),
        images: images.map((part) => dataOf(part['image_url'])),
      });
    }
  }
}

/** `anthropic.convertMessage`: results of tools are messages of their own, behind what the others make together. */
function fromAnthropic(given: Json): readonly Json[] {
  const { content } = given;
  const role = given['role'] ?? '';
  if (!Array.isArray(content)) return [message(role, { content })];
  const blocks = objects(content);
  const ofType = (...types: readonly string[]) =>
    blocks.filter(({ type }) => typeof type === 'string' && types.includes(type));
  const calls = ofType('tool_use', 'server_tool_use').map(({ id, name, input }) => ({
    id: textOr(id),
    name: textOr(name),
    arguments: object(input),
  }));
  const thinking = ofType('thinking').findLast((one) => typeof one['thinking'] === 'string');
  return [
    message(role, {
      content: joinTexts(ofType('text')),
      thinking: thinking?.['thinking'] ?? '',
      images: ofType('image').map(({ source }) => bytesOf(textOr(object(source)['data']))),
      tool_calls: calls,
    }),
    ...ofType('tool_result', 'web_search_tool_result').map((result) =>
      message('tool', {
        content: result['type'] === 'tool_result' ? toolResult(result['content']) : searchResult(result['content']),
        tool_call_id: textOr(result['tool_use_id']),
      }),
    ),
  ];
}

function toolResult(content: unknown): string {
  return typeof content === 'string' ? content : joinTexts(objects(content));
}

/** `anthropic.formatWebSearchToolResultContent`: the first error of a list is all that is said of it. */
function searchResult(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return searchError(object(content)) ?? toGoJson(content);
  const items = objects(content);
  return (
    items.map(searchError).find((error) => error !== undefined) ??
    items
      .filter(({ type }) => type === 'web_search_result')
      .map(({ title, url }) => `- ${textOr(title)}: ${textOr(url)}\n`)
      .join('')
  );
}

function searchError({ type, error_code: code }: Json): string | undefined {
  if (type !== 'web_search_tool_result_error') return undefined;
  return textOr(code) === '' ? type : `${type}: ${textOr(code)}`;
}

/** As `encoding/json` writes what it has read into `any`: keys in the order of their bytes, safe to stand in HTML. */
function toGoJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toGoJson).join()}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return `{${entries.map(([key, member]) => `${toGoJson(key)}:${toGoJson(member)}`).join()}}`;
  }
  if (Object.is(value, -0)) return '-0';
  return JSON.stringify(value ?? null).replace(
    /[<>&\u2028\u2029]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function joinTexts(blocks: readonly Json[]): string {
  return blocks.map(({ type, text }) => (type === 'text' && typeof text === 'string' ? text : '')).join('');
}

/**
 * What is in messages, without how neighbours were joined: `/v1/responses` puts tool calls and thinking into the message
 * before or after, and of two thoughts in a row drops the first.
 */
export function looseMessages(messages: readonly Json[]): readonly Json[] {
  return messages
    .flatMap((one) => [
      ...(one['content'] !== '' || list(one['images']).length > 0
        ? [
            {
              role: one['role'],
              content: one['content'],
              images: one['images'] ?? [],
              tool_call_id: one['tool_call_id'],
            },
          ]
        : []),
      ...list(one['tool_calls']),
    ])
    .map(object);
}

function dataOf(image: unknown): string {
  const url = typeof image === 'string' ? image : object(image)['url'];
  return bytesOf(textOr(url).replace(/^data:[^,]*,/, ''));
}

function bytesOf(base64: string): string {
  return Buffer.from(base64, 'base64').toString('base64');
}

/** Arguments as text, as OpenAI's dialects have them. */
function readArguments(text: unknown): unknown {
  return plain(readNaively(textOr(text)).value) ?? {};
}

/**
 * The naive reader's objects as plain ones; of duplicates the last would stay, as in `JSON.parse`.
 */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    list(object(value)['entries']).map((entry) => [textOr(list(entry)[0]), plain(list(entry)[1])]),
  );
}

function textOr(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function objects(value: unknown): readonly Json[] {
  return list(value).map(object);
}

export function object(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}
