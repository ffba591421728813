import type { AskedPrompt } from './asked.ts';
import { bytesOf, flagOf, isObject, type JsonObject, numberOf, objectOf, refuse, textOf } from './members.ts';
import { readModel } from './model.ts';
import { formatOf, limitOf, metadataOf } from './options.ts';
import { isSystemRole, roleOf } from './roles.ts';
import { describePrompt } from './simple-prompt.ts';
import { readFlatTools } from './tools.ts';

/**
 * `POST /v1/responses`: Ollama 0.17.4, `openai.ResponsesRequest` and `FromResponsesRequest`. Policy sees the conversation as
 * `messages`, with the roles that Ollama gives to what has none, and `instructions` as `system`.
 */
export function readOpenaiResponses(body: JsonObject): AskedPrompt {
  const models = readModel(body);
  const tools = readFlatTools(body['tools']);
  const instructions = textOf(body['instructions'], 'instructions');
  const items = readItems(body['input']);

  let hasSystemPrompt = instructions !== '';
  let imageCount = 0;
  let promptBytes = tools.toolBytes + bytesOf(instructions, 'instructions');
  for (const item of items) {
    if (isSystemRole(item.role)) hasSystemPrompt = true;
    imageCount += item.images;
    promptBytes += item.bytes;
  }

  return describePrompt(models, {
    stream: flagOf(body['stream'], 'stream'),
    hasTools: tools.hasTools,
    toolNames: tools.toolNames,
    hasSystemPrompt,
    messageCount: items.length + (instructions === '' ? 0 : 1),
    imageCount,
    promptBytes,
    format: readFormat(objectOf(body['text'], 'text')),
    maxTokens: limitOf(numberOf(body['max_output_tokens'], 'max_output_tokens')),
    metadata: metadataOf(body['metadata']),
    content: {
      ...(instructions !== '' && { system: instructions }),
      get messages() {
        return items.map(({ message }) => message);
      },
    },
  });
}

/** An element of `input` as the message that Ollama makes of it. */
interface Item {
  readonly role: string;
  readonly bytes: number;
  readonly images: number;
  readonly message: JsonObject;
}

function readItems(input: unknown): readonly Item[] {
  if (input === undefined || input === null || input === '') return [];
  if (typeof input === 'string') {
    const message = { role: 'user', content: input };
    return [{ role: 'user', bytes: Buffer.byteLength(input), images: 0, message }];
  }
  if (!Array.isArray(input)) return refuse('input', 'a string or an array of items');
  return input.map((item) => (isObject(item) ? readItem(item) : refuse('input', 'an array of items')));
}

/** `unmarshalResponsesInputItem`: a type, or a role alone for a message; Ollama refuses any other. */
function readItem(item: JsonObject): Item {
  const type = textOf(item['type'], 'type');
  switch (type === '' && textOf(item['role'], 'role') !== '' ? 'message' : type) {
    case 'message':
      return readMessage(item);
    case 'function_call': {
      const bytes = bytesOf(item['name'], 'name') + bytesOf(item['arguments'], 'arguments');
      return { role: 'assistant', bytes, images: 0, message: { ...item, role: 'assistant' } };
    }
    case 'function_call_output': {
      const content = textOf(item['output'], 'output');
      const message = { ...item, role: 'tool', content };
      return { role: 'tool', bytes: Buffer.byteLength(content), images: 0, message };
    }
    case 'reasoning': {
      const thinking = textOf(item['encrypted_content'], 'encrypted_content');
      const message = { ...item, role: 'assistant', thinking };
      return { role: 'assistant', bytes: Buffer.byteLength(thinking), images: 0, message };
    }
    default:
      return refuse('input', 'an array of messages, function calls, their outputs, and reasoning');
  }
}

function readMessage(item: JsonObject): Item {
  const role = roleOf(item);
  const message = role === item['role'] ? item : { ...item, role };
  const content = item['content'] ?? '';
  if (typeof content === 'string') return { role, bytes: Buffer.byteLength(content), images: 0, message };
  if (!Array.isArray(content)) return refuse('content', 'a string or an array of parts');
  let bytes = 0;
  let images = 0;
  for (const part of content) {
    const type = isObject(part) ? part['type'] : undefined;
    if (type === 'input_image') images += textOf(part['image_url'], 'image_url') === '' ? 0 : 1;
    else if (type === 'input_text' || type === 'output_text') bytes += bytesOf(part['text'], 'text');
    else return refuse('content', 'a string or an array of input_text, output_text and input_image');
  }
  return { role, bytes, images, message };
}

function readFormat(text: JsonObject | undefined): unknown {
  const format = objectOf(text?.['format'], 'format');
  return format?.['type'] === 'json_schema' ? formatOf(format['schema']) : undefined;
}
