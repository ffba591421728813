import { resolveModelName } from '../model-name.ts';
import type { RequestType } from '../routes.ts';
import { readAnthropicMessages } from './anthropic-messages.ts';
import type { Asked } from './asked.ts';
import { readOllamaEmbed, readOllamaEmbeddings, readOpenaiEmbed } from './embed.ts';
import { manage, readAlias, readAliasDelete, readCopy, readCreate, readNamed, readTransfer } from './management.ts';
import type { JsonObject } from './members.ts';
import { describeModel } from './model.ts';
import { readOllamaChat } from './ollama-chat.ts';
import { readOllamaGenerate } from './ollama-generate.ts';
import { readOpenaiChat } from './openai-chat.ts';
import { readOpenaiCompletion, readOpenaiImage, readOpenaiImageEdit } from './openai-completion.ts';
import { readOpenaiResponses } from './openai-responses.ts';

const readers: Readonly<Record<RequestType, (body: JsonObject) => Asked>> = {
  'ollama.chat': readOllamaChat,
  'ollama.generate': readOllamaGenerate,
  'ollama.embed': readOllamaEmbed,
  'ollama.embeddings': readOllamaEmbeddings,
  'ollama.show': readNamed,
  'ollama.pull': readTransfer,
  'ollama.push': readTransfer,
  'ollama.create': readCreate,
  'ollama.copy': readCopy,
  'ollama.delete': readNamed,
  'ollama.alias': readAlias,
  'ollama.alias_delete': readAliasDelete,
  'openai.chat': readOpenaiChat,
  'openai.completion': readOpenaiCompletion,
  'openai.embed': readOpenaiEmbed,
  'openai.responses': readOpenaiResponses,
  'openai.image': readOpenaiImage,
  'openai.image_edit': readOpenaiImageEdit,
  'anthropic.messages': readAnthropicMessages,
};

/**
 * Reads what a guarded body asks for, as Ollama will read it.
 *
 * @throws RequestError `missing_model`, `invalid_model`, `invalid_member`
 */
export function readAsked(type: RequestType, body: JsonObject): Asked {
  return readers[type](body);
}

/**
 * What a path asks for that names a model (`/v1/models/{model}`).
 *
 * @throws RequestError `invalid_model`
 */
export function readPathModel(name: string): Asked {
  return manage(describeModel(resolveModelName(name)));
}
