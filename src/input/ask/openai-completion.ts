import type { AskedPrompt } from './asked.ts';
import { flagOf, type JsonObject, numberOf, textOf } from './members.ts';
import { readModel } from './model.ts';
import { asksForUsage } from './openai-chat.ts';
import { limitOf, metadataOf } from './options.ts';
import { describePrompt } from './simple-prompt.ts';

/** `POST /v1/completions`: Ollama 0.17.4, `openai.CompletionRequest`, whose prompt is one text. */
export function readOpenaiCompletion(body: JsonObject): AskedPrompt {
  const prompt = textOf(body['prompt'], 'prompt');
  const suffix = textOf(body['suffix'], 'suffix');
  return describePrompt(readModel(body), {
    texts: [prompt, suffix],
    messageCount: prompt === '' ? 0 : 1,
    stream: flagOf(body['stream'], 'stream'),
    includeUsage: asksForUsage(body),
    debug: flagOf(body['_debug_render_only'], '_debug_render_only'),
    maxTokens: limitOf(numberOf(body['max_tokens'], 'max_tokens')),
    metadata: metadataOf(body['metadata']),
    content: { prompt, ...(suffix !== '' && { suffix }) },
  });
}

/**
 * `POST /v1/images/generations`, `/v1/images/edits`: `openai.ImageGenerationRequest`, `ImageEditRequest`. Nothing is
 * streamed: `middleware.ImageWriter` writes once the picture is done.
 */
export function readOpenaiImage(body: JsonObject): AskedPrompt {
  const prompt = textOf(body['prompt'], 'prompt');
  return describePrompt(readModel(body), {
    texts: [prompt],
    metadata: metadataOf(body['metadata']),
    content: { prompt },
  });
}

export function readOpenaiImageEdit(body: JsonObject): AskedPrompt {
  const imageCount = textOf(body['image'], 'image') === '' ? 0 : 1;
  return { ...readOpenaiImage(body), imageCount };
}
