import type { RequestType } from '../routes.ts';
import type { Asked } from './asked.ts';
import type { JsonObject } from './members.ts';
import { readOllamaChat } from './ollama-chat.ts';
import { readOllamaGenerate } from './ollama-generate.ts';
import { readOpenaiChat } from './openai-chat.ts';

const readers: Readonly<Record<RequestType, (body: JsonObject) => Asked>> = {
  'ollama.chat': readOllamaChat,
  'ollama.generate': readOllamaGenerate,
  'openai.chat': readOpenaiChat,
};

/**
 * Reads what a guarded body asks for, as Ollama will read it.
 *
 * @throws RequestError `missing_model`, `invalid_model`, `invalid_member`
 */
export function readAsked(type: RequestType, body: JsonObject): Asked {
  return readers[type](body);
}
