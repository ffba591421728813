/**
 * The sidecar's input document in the judge's words (`judge/projection.go`). Made only of documents that Ollama took, so
 * types are as it wants them; where a message becomes several on Ollama's side, its parts do so here.
 */

import type { PolicyInput } from '../../src/types.ts';
import { readNaively } from '../input/naive-json.ts';
import type { JudgedType } from './judge.ts';

export type Json = Readonly<Record<string, unknown>>;

export function project(type: JudgedType, input: PolicyInput, includeUsage: boolean): Json {
  const messages = objects(input.messages).flatMap((message) =>
    type === 'openai.chat' ? openaiMessages(message) : [ollamaMessage(message)],
  );
  return {
    models: input.model_refs?.map(({ part, full }) => ({ part, full })) ?? [],
    stream: input.stream ?? false,
    include_usage: includeUsage,
    message_count: input.message_count ?? 0,
    messages,
    tools: input.tools ?? [],
    prompt: input.prompt ?? '',
    suffix: input.suffix ?? '',
    system: input.system ?? '',
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
    // Elsewhere Ollama makes options of other members.
    ...(type.startsWith('ollama.') && { options: input.options ?? null }),
  };
}

/** `openai.FromChatRequest`: each part of a list is a message of its own, tool calls ride on the last one. */
function openaiMessages(message: Json): readonly Json[] {
  const { role = '', content, reasoning, tool_call_id: id } = message;
  const calls = objects(message['tool_calls']);
  const tail = {
    thinking: reasoning ?? '',
    tool_calls: calls.map((call) => {
      const { name, arguments: text } = object(call['function']);
      return { id: call['id'] ?? '', name: name ?? '', arguments: plain(readNaively(String(text)).value) ?? {} };
    }),
    tool_call_id: id ?? '',
  };
  const none = { thinking: '', tool_calls: [], tool_call_id: '' };
  if (!Array.isArray(content)) return [{ role: role ?? '', content: content ?? '', images: [], ...tail }];
  return objects(content).map((part, at) => ({
    role: role ?? '',
    content: part['type'] === 'text' ? part['text'] : '',
    images: part['type'] === 'image_url' ? [dataOf(part['image_url'])] : [],
    ...(at === content.length - 1 && calls.length > 0 ? tail : none),
  }));
}

function ollamaMessage(message: Json): Json {
  return {
    role: message['role'] ?? '',
    content: message['content'] ?? '',
    thinking: message['thinking'] ?? '',
    images: list(message['images']).map((image) => bytesOf(String(image ?? ''))),
    tool_calls: objects(message['tool_calls']).map((call) => {
      const { name, arguments: given } = object(call['function']);
      return { id: call['id'] ?? '', name: name ?? '', arguments: given ?? {} };
    }),
    tool_name: message['tool_name'] ?? '',
    tool_call_id: message['tool_call_id'] ?? '',
  };
}

function dataOf(image: unknown): string {
  const url = typeof image === 'string' ? image : object(image)['url'];
  return bytesOf(String(url).replace(/^data:[^,]*,/, ''));
}

function bytesOf(base64: string): string {
  return Buffer.from(base64, 'base64').toString('base64');
}

/**
 * The naive reader's objects as plain ones; of duplicates the last stays, as in `JSON.parse`. A policy is told the text
 * itself, so what Go makes of half a surrogate pair in it is left to Go.
 */
function plain(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    list(object(value)['entries']).map((entry) => [String(list(entry)[0]).toWellFormed(), plain(list(entry)[1])]),
  );
}

const unit: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, μs: 1e3, ms: 1e6, s: 1e9, m: 6e10, h: 36e11 };
const forever = 2 ** 63;

/** `api.Duration`: a number is seconds, a negative one for ever; a string is Go's. */
function nanoseconds(value: unknown): number | null {
  if (value === undefined) return null;
  if (typeof value === 'number') return value < 0 ? forever : Math.trunc(value * 1e9);
  let sum = 0;
  for (const [, number, name = ''] of String(value).matchAll(/([\d.]+)([a-zµμ]+)/gu))
    sum += Number(number) * (unit[name] ?? Number.NaN);
  return String(value).startsWith('-') && sum > 0 ? forever : sum;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function objects(value: unknown): readonly Json[] {
  return list(value).map(object);
}

export function object(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}
