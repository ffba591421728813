import type { AskedPrompt } from './asked.ts';
import { flagOf, isObject, type JsonObject, numberOf, objectsOf, refuse } from './members.ts';
import { readModel } from './model.ts';
import { limitOf, metadataOf } from './options.ts';
import { isSystemRole, roleOf, withPlainRoles } from './roles.ts';
import { describePrompt } from './simple-prompt.ts';
import { readAnthropicTools } from './tools.ts';

/**
 * `POST /v1/messages`: Ollama 0.17.4, `anthropic.MessagesRequest` and `FromMessagesRequest`. Content is `any` there and read
 * block by block: what has another type than expected is left out rather than refused.
 */
export function readAnthropicMessages(body: JsonObject): AskedPrompt {
  const models = readModel(body);
  const messages = objectsOf(body['messages'], 'messages');
  const tools = readAnthropicTools(body['tools']);
  const system = readSystem(body['system']);

  let hasSystemPrompt = system !== '';
  let imageCount = 0;
  let promptBytes = tools.toolBytes + Buffer.byteLength(system);
  for (const message of messages) {
    const content = message['content'];
    if (isSystemRole(roleOf(message)) && isSpoken(content)) hasSystemPrompt = true;
    if (typeof content === 'string') promptBytes += Buffer.byteLength(content);
    else if (!Array.isArray(content)) return refuse('content', 'a string or an array of blocks');
    else {
      for (const block of content) {
        if (!isObject(block)) return refuse('content', 'a string or an array of blocks');
        if (block['type'] === 'image') imageCount += 1;
        else promptBytes += measureBlock(block);
      }
    }
  }

  return describePrompt(models, {
    stream: flagOf(body['stream'], 'stream'),
    hasTools: tools.hasTools,
    toolNames: tools.toolNames,
    serverTools: tools.serverTools,
    hasSystemPrompt,
    messageCount: messages.length + (system === '' ? 0 : 1),
    imageCount,
    promptBytes,
    maxTokens: limitOf(numberOf(body['max_tokens'], 'max_tokens')),
    metadata: metadataOf(body['metadata']),
    content: {
      ...(system !== '' && { system }),
      get messages() {
        return withPlainRoles(messages);
      },
    },
  });
}

/** Blocks of which nothing is left make no message (`convertMessage`), so a system prompt of such is none. */
function isSpoken(content: unknown): boolean {
  if (!Array.isArray(content)) return true;
  let thinking: unknown = '';
  for (const block of content) {
    const { type, text, thinking: thought } = isObject(block) ? block : {};
    if (type === 'image' || type === 'tool_use' || type === 'server_tool_use') return true;
    if (type === 'text' && typeof text === 'string' && text !== '') return true;
    if (type === 'thinking' && typeof thought === 'string') thinking = thought;
  }
  return thinking !== '';
}

/** Text, or the texts of blocks one after the other; anything else Ollama ignores. */
function readSystem(system: unknown): string {
  if (typeof system === 'string') return system;
  return Array.isArray(system) ? joinTexts(system) : '';
}

function joinTexts(blocks: readonly unknown[]): string {
  let text = '';
  for (const block of blocks) {
    if (isObject(block) && block['type'] === 'text' && typeof block['text'] === 'string') text += block['text'];
  }
  return text;
}

function measureBlock(block: JsonObject): number {
  switch (block['type']) {
    case 'text':
      return measure(block['text']);
    case 'thinking':
      return measure(block['thinking']);
    case 'tool_use':
    case 'server_tool_use':
      return measure(block['name']) + measure(block['input']);
    case 'tool_result': {
      const content = block['content'];
      return measure(Array.isArray(content) ? joinTexts(content) : content);
    }
    case 'web_search_tool_result':
      return measureSearchResult(block['content']);
    default:
      return 0;
  }
}

/**
 * `anthropic.formatWebSearchToolResultContent` puts whatever is there into the prompt, also nothing ("null"), as Go writes
 * JSON: with six bytes for each of `<>&`, U+2028 and U+2029, and with a sign before zero.
 */
function measureSearchResult(content: unknown): number {
  if (typeof content === 'string') return Buffer.byteLength(content);
  const json = JSON.stringify(content ?? null, (_key, value: unknown) => (Object.is(value, -0) ? '-0' : value));
  return Buffer.byteLength(json.replace(/[<>&\u2028\u2029]/g, '\\u0000'));
}

/** What is no text goes into the prompt as JSON, if at all. */
function measure(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  return isObject(value) || Array.isArray(value) ? Buffer.byteLength(JSON.stringify(value)) : 0;
}
