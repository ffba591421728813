import { isAscii } from 'node:buffer';
import { type AskedPrompt, estimateTokens } from './asked.ts';
import {
  bytesOf,
  flagOf,
  isObject,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  refuse,
  textOf,
} from './members.ts';
import { readModel } from './model.ts';
import { ChatContent } from './ollama-chat.ts';
import { formatOf, limitOf, metadataOf } from './options.ts';
import { isSystemRole, roleOf, toolCallBytes } from './roles.ts';
import { readTools } from './tools.ts';

/**
 * `POST /v1/chat/completions`: Ollama 0.17.4, `openai.ChatCompletionRequest` and `FromChatRequest`, which has no place for
 * `max_completion_tokens`, `options` and `keep_alive`: they are ignored there and so not in the input.
 */
export function readOpenaiChat(body: JsonObject): AskedPrompt {
  const { model, models } = readModel(body);
  const messages = objectsOf(body['messages'], 'messages');
  const tools = readTools(body['tools']);

  let hasSystemPrompt = false;
  let imageCount = 0;
  let promptBytes = tools.toolBytes;
  for (const message of messages) {
    if (isSystemRole(roleOf(message))) hasSystemPrompt = true;
    const content = message['content'];
    if (typeof content === 'string') promptBytes += bytesOf(content, 'content');
    else {
      const measured = measureParts(content);
      imageCount += measured.images;
      promptBytes += measured.bytes;
    }
    promptBytes +=
      bytesOf(message['reasoning'], 'reasoning') + bytesOf(message['name'], 'name') + toolCallBytes(message);
  }

  return {
    kind: 'prompt',
    model,
    models,
    stream: flagOf(body['stream'], 'stream'),
    includeUsage: asksForUsage(body),
    hasTools: tools.hasTools,
    toolNames: tools.toolNames,
    serverTools: [],
    hasSystemPrompt,
    hasTemplate: false,
    raw: false,
    hasContext: false,
    debug: flagOf(body['_debug_render_only'], '_debug_render_only'),
    messageCount: messages.length,
    imageCount,
    promptBytes,
    estimatedTokens: estimateTokens(promptBytes),
    options: undefined,
    keepAlive: undefined,
    format: readFormat(objectOf(body['response_format'], 'response_format')),
    maxTokens: limitOf(numberOf(body['max_tokens'], 'max_tokens')),
    metadata: metadataOf(body['metadata']),
    content: new ChatContent(messages),
  };
}

export function asksForUsage(body: JsonObject): boolean {
  return flagOf(objectOf(body['stream_options'], 'stream_options')?.['include_usage'], 'include_usage');
}

/**
 * `content` that is no text: nothing, or a list of parts with `text` or `image_url`; Ollama refuses any other part. Of an
 * empty list it makes no message at all, and hands its tool calls to the message before: no policy would see that.
 */
function measureParts(content: unknown): { readonly bytes: number; readonly images: number } {
  if (content === undefined || content === null) return { bytes: 0, images: 0 };
  if (!Array.isArray(content) || content.length === 0) return refuse('content', 'a string or an array of parts');
  let bytes = 0;
  let images = 0;
  for (const part of content) {
    if (!isObject(part)) return refuse('content', 'a string or an array of parts');
    if (part['type'] === 'image_url') images++;
    else bytes += bytesOf(part['text'], 'text');
  }
  return { bytes, images };
}

/**
 * What `FromChatRequest` makes of `response_format`. White space around the type is cut off there, and beyond ASCII Go's is
 * not JavaScript's (U+0085, U+FEFF), so no such type passes.
 */
function readFormat(responseFormat: JsonObject | undefined): unknown {
  if (responseFormat === undefined) return undefined;
  const type = textOf(responseFormat['type'], 'type');
  if (!isAscii(Buffer.from(type))) return refuse('type', 'plain ASCII');
  switch (type.trim().toLowerCase()) {
    case 'json_object':
      return 'json';
    case 'json_schema':
      return formatOf(objectOf(responseFormat['json_schema'], 'json_schema')?.['schema']);
    default:
      return undefined;
  }
}
