import { type Asked, estimateTokens } from './asked.ts';
import { flagOf, type JsonObject, listOf, stringOf } from './members.ts';
import { readModel } from './model.ts';
import { readMetadata, readOptions } from './options.ts';

/** `POST /api/generate`: Ollama 0.17.4, `api.GenerateRequest`. It has no tools; an empty prompt loads or unloads. */
export function readOllamaGenerate(body: JsonObject): Asked {
  const model = readModel(body);
  const prompt = stringOf(body, 'prompt');
  const suffix = stringOf(body, 'suffix');
  const system = stringOf(body, 'system');
  const template = stringOf(body, 'template');
  const contextIds = listOf(body, 'context').length;
  const promptBytes =
    Buffer.byteLength(prompt) + Buffer.byteLength(suffix) + Buffer.byteLength(system) + Buffer.byteLength(template);

  return {
    model,
    stream: flagOf(body, 'stream', true),
    includeUsage: false,
    hasTools: false,
    toolNames: [],
    hasSystemPrompt: system !== '',
    hasTemplate: template !== '',
    raw: flagOf(body, 'raw'),
    hasContext: contextIds > 0,
    debug: flagOf(body, '_debug_render_only'),
    messageCount: prompt === '' ? 0 : 1,
    imageCount: listOf(body, 'images').length,
    promptBytes,
    estimatedTokens: estimateTokens(promptBytes, contextIds),
    ...readOptions(body),
    metadata: readMetadata(body),
    content: {
      prompt,
      ...(suffix !== '' && { suffix }),
      ...(system !== '' && { system }),
      ...(template !== '' && { template }),
    },
  };
}
