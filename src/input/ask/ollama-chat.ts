import { type AskedPrompt, estimateTokens } from './asked.ts';
import { bytesOf, flagOf, type JsonObject, objectOf, objectsOf, textsOf } from './members.ts';
import { readModel } from './model.ts';
import { formatOf, metadataOf, predictLimitOf } from './options.ts';
import { isSystemRole, roleOf, toolCallBytes, withPlainRoles } from './roles.ts';
import { readTools } from './tools.ts';

/** `POST /api/chat`: Ollama 0.17.4, `api.ChatRequest`. */
export function readOllamaChat(body: JsonObject): AskedPrompt {
  const { model, models } = readModel(body);
  const messages = objectsOf(body['messages'], 'messages');
  const tools = readTools(body['tools']);
  const options = objectOf(body['options'], 'options');
  const measured = measureMessages(messages);
  const promptBytes = tools.toolBytes + measured.bytes;

  return {
    kind: 'prompt',
    model,
    models,
    stream: flagOf(body['stream'], 'stream', true),
    includeUsage: false,
    hasTools: tools.hasTools,
    toolNames: tools.toolNames,
    serverTools: [],
    hasSystemPrompt: measured.hasSystemPrompt,
    hasTemplate: false,
    raw: false,
    hasContext: false,
    debug: flagOf(body['_debug_render_only'], '_debug_render_only'),
    messageCount: messages.length,
    imageCount: measured.images,
    promptBytes,
    estimatedTokens: estimateTokens(promptBytes),
    options,
    keepAlive: body['keep_alive'] ?? undefined,
    format: formatOf(body['format']),
    maxTokens: predictLimitOf(options),
    metadata: metadataOf(body['metadata']),
    content: new ChatContent(messages),
  };
}

/** The messages are looked through once more for policy, and only for one that reads them. */
export class ChatContent {
  readonly #messages: readonly JsonObject[];

  constructor(messages: readonly JsonObject[]) {
    this.#messages = messages;
  }

  get messages(): readonly JsonObject[] {
    return withPlainRoles(this.#messages);
  }
}

/** `api.Message`, as `/api/chat` and `/api/create` have it. */
export function measureMessages(messages: readonly JsonObject[]) {
  let hasSystemPrompt = false;
  let images = 0;
  let bytes = 0;
  for (const message of messages) {
    if (isSystemRole(roleOf(message))) hasSystemPrompt = true;
    images += textsOf(message['images'], 'images').length;
    bytes +=
      bytesOf(message['content'], 'content') +
      bytesOf(message['thinking'], 'thinking') +
      bytesOf(message['tool_name'], 'tool_name') +
      toolCallBytes(message);
  }
  return { hasSystemPrompt, images, bytes };
}
