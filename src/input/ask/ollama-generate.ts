import { type AskedPrompt, estimateTokens } from './asked.ts';
import { bytesOf, flagOf, type JsonObject, listOf, objectOf, textOf, textsOf } from './members.ts';
import { readModel } from './model.ts';
import { formatOf, metadataOf, predictLimitOf } from './options.ts';

/** `POST /api/generate`: Ollama 0.17.4, `api.GenerateRequest`. It has no tools; an empty prompt loads or unloads. */
export function readOllamaGenerate(body: JsonObject): AskedPrompt {
  const { model, models } = readModel(body);
  const prompt = textOf(body['prompt'], 'prompt');
  const suffix = textOf(body['suffix'], 'suffix');
  const system = textOf(body['system'], 'system');
  const template = textOf(body['template'], 'template');
  const contextIds = listOf(body['context'], 'context').length;
  const options = objectOf(body['options'], 'options');
  const promptBytes =
    bytesOf(prompt, 'prompt') + bytesOf(suffix, 'suffix') + bytesOf(system, 'system') + bytesOf(template, 'template');

  return {
    kind: 'prompt',
    model,
    models,
    stream: flagOf(body['stream'], 'stream', true),
    includeUsage: false,
    hasTools: false,
    toolNames: [],
    serverTools: [],
    hasSystemPrompt: system !== '',
    hasTemplate: template !== '',
    raw: flagOf(body['raw'], 'raw'),
    hasContext: contextIds > 0,
    debug: flagOf(body['_debug_render_only'], '_debug_render_only'),
    messageCount: prompt === '' ? 0 : 1,
    imageCount: textsOf(body['images'], 'images').length,
    promptBytes,
    estimatedTokens: estimateTokens(promptBytes, contextIds),
    options,
    keepAlive: body['keep_alive'] ?? undefined,
    format: formatOf(body['format']),
    maxTokens: predictLimitOf(options),
    metadata: metadataOf(body['metadata']),
    content: {
      prompt,
      ...(suffix !== '' && { suffix }),
      ...(system !== '' && { system }),
      ...(template !== '' && { template }),
    },
  };
}
