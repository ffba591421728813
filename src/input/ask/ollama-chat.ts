import { type Asked, estimateTokens } from './asked.ts';
import { flagOf, type JsonObject, listOf, objectsOf, stringOf } from './members.ts';
import { readModel } from './model.ts';
import { readMetadata, readOptions } from './options.ts';
import { isSystemRole, roleOf, toolCallBytes, withPlainRoles } from './roles.ts';
import { readTools } from './tools.ts';

/** `POST /api/chat`: Ollama 0.17.4, `api.ChatRequest`. */
export function readOllamaChat(body: JsonObject): Asked {
  const model = readModel(body);
  const messages = objectsOf(body, 'messages');
  const { toolBytes, ...tools } = readTools(body);

  let hasSystemPrompt = false;
  let imageCount = 0;
  let promptBytes = toolBytes;
  for (const message of messages) {
    if (isSystemRole(roleOf(message))) hasSystemPrompt = true;
    imageCount += listOf(message, 'images').length;
    promptBytes +=
      Buffer.byteLength(stringOf(message, 'content')) +
      Buffer.byteLength(stringOf(message, 'thinking')) +
      Buffer.byteLength(stringOf(message, 'tool_name')) +
      toolCallBytes(message);
  }

  return {
    model,
    stream: flagOf(body, 'stream', true),
    includeUsage: false,
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
    ...readOptions(body),
    metadata: readMetadata(body),
    content: {
      get messages() {
        return withPlainRoles(messages);
      },
    },
  };
}
