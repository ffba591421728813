import { isAscii } from 'node:buffer';
import { type Asked, estimateTokens } from './asked.ts';
import { flagOf, isObject, type JsonObject, numberOf, objectOf, objectsOf, refuse, stringOf } from './members.ts';
import { readModel } from './model.ts';
import { limitOf, readMetadata, setFormat } from './options.ts';
import { isSystemRole, roleOf, toolCallBytes, withPlainRoles } from './roles.ts';
import { readTools } from './tools.ts';

/**
 * `POST /v1/chat/completions`: Ollama 0.17.4, `openai.ChatCompletionRequest` and `FromChatRequest`, which has no place for
 * `max_completion_tokens`, `options` and `keep_alive`: they are ignored there and so not in the input.
 */
export function readOpenaiChat(body: JsonObject): Asked {
  const model = readModel(body);
  const messages = objectsOf(body, 'messages');
  const { toolBytes, ...tools } = readTools(body);

  let hasSystemPrompt = false;
  let imageCount = 0;
  let promptBytes = toolBytes;
  for (const message of messages) {
    if (isSystemRole(roleOf(message))) hasSystemPrompt = true;
    const content = measureContent(message['content']);
    imageCount += content.images;
    promptBytes +=
      content.bytes +
      Buffer.byteLength(stringOf(message, 'reasoning')) +
      Buffer.byteLength(stringOf(message, 'name')) +
      toolCallBytes(message);
  }

  return {
    model,
    stream: flagOf(body, 'stream'),
    includeUsage: flagOf(objectOf(body, 'stream_options') ?? {}, 'include_usage'),
    ...tools,
    hasSystemPrompt,
    hasTemplate: false,
    raw: false,
    hasContext: false,
    debug: flagOf(body, '_debug_render_only'),
    messageCount: messages.length,
    imageCount,
    promptBytes,
    estimatedTokens: estimateTokens(promptBytes),
    options: undefined,
    keepAlive: undefined,
    format: readFormat(objectOf(body, 'response_format')),
    maxTokens: limitOf(numberOf(body, 'max_tokens')),
    metadata: readMetadata(body),
    content: {
      get messages() {
        return withPlainRoles(messages);
      },
    },
  };
}

/**
 * `content` is text, or a list of parts with `text` or `image_url`; Ollama refuses any other part. Of an empty list it makes
 * no message at all, and hands its tool calls to the message before: no policy would see that.
 */
function measureContent(content: unknown): { readonly bytes: number; readonly images: number } {
  if (content === undefined || content === null) return { bytes: 0, images: 0 };
  if (typeof content === 'string') return { bytes: Buffer.byteLength(content), images: 0 };
  if (!Array.isArray(content) || content.length === 0) return refuse('content', 'a string or an array of parts');
  let bytes = 0;
  let images = 0;
  for (const part of content) {
    if (!isObject(part)) return refuse('content', 'a string or an array of parts');
    if (part['type'] === 'image_url') images++;
    else bytes += Buffer.byteLength(stringOf(part, 'text'));
  }
  return { bytes, images };
}

/**
 * What `FromChatRequest` makes of `response_format`. White space around the type is cut off there, and beyond ASCII Go's is
 * not JavaScript's (U+0085, U+FEFF), so no such type passes.
 */
function readFormat(responseFormat: JsonObject | undefined): unknown {
  if (responseFormat === undefined) return undefined;
  const type = stringOf(responseFormat, 'type');
  if (!isAscii(Buffer.from(type))) return refuse('type', 'plain ASCII');
  switch (type.trim().toLowerCase()) {
    case 'json_object':
      return 'json';
    case 'json_schema':
      return setFormat(objectOf(responseFormat, 'json_schema')?.['schema']);
    default:
      return undefined;
  }
}
