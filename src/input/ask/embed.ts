import type { AskedPrompt } from './asked.ts';
import { type JsonObject, objectOf, refuse, textOf } from './members.ts';
import { readModel } from './model.ts';
import { metadataOf } from './options.ts';
import { describePrompt } from './simple-prompt.ts';

/** `POST /api/embed`: Ollama 0.17.4, `api.EmbedRequest`. Without `input` it loads the model. */
export function readOllamaEmbed(body: JsonObject): AskedPrompt {
  return describePrompt(readModel(body), { ...readInput(body['input']), ...readOwn(body) });
}

/** `POST /api/embeddings`: `api.EmbeddingRequest`. */
export function readOllamaEmbeddings(body: JsonObject): AskedPrompt {
  const prompt = textOf(body['prompt'], 'prompt');
  return describePrompt(readModel(body), { texts: [prompt], content: { prompt }, ...readOwn(body) });
}

/** `POST /v1/embeddings`: `openai.EmbedRequest`, of which only model, input and dimensions are handed on. */
export function readOpenaiEmbed(body: JsonObject): AskedPrompt {
  return describePrompt(readModel(body), { ...readInput(body['input']), metadata: metadataOf(body['metadata']) });
}

function readOwn(body: JsonObject) {
  return {
    options: objectOf(body['options'], 'options'),
    keepAlive: body['keep_alive'] ?? undefined,
    metadata: metadataOf(body['metadata']),
  };
}

/** One text or several; token ids, which OpenAI takes as well, Ollama refuses. */
function readInput(input: unknown) {
  const prompt = input ?? '';
  const texts = Array.isArray(prompt) ? prompt : [prompt];
  if (!texts.every((text) => typeof text === 'string')) return refuse('input', 'a string or an array of strings');
  return { texts, content: { prompt } };
}
