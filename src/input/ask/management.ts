/** Requests about models, of Ollama's own dialect; Ollama 0.17.4, `api/types.go` and `server/routes_aliases.go`. */
import type { AskedManagement, AskedPrompt } from './asked.ts';
import { bytesOf, flagOf, type JsonObject, objectOf, objectsOf, textOf } from './members.ts';
import { type AskedModels, readFrom, readModelOrName, readParts } from './model.ts';
import { measureMessages } from './ollama-chat.ts';
import { predictLimitOf } from './options.ts';
import { withPlainRoles } from './roles.ts';
import { describePrompt } from './simple-prompt.ts';

/** `POST /api/show`, `DELETE /api/delete` */
export function readNamed(body: JsonObject): AskedManagement {
  return manage(readModelOrName(body));
}

/** `POST /api/pull`, `POST /api/push` */
export function readTransfer(body: JsonObject): AskedManagement {
  return manage(readModelOrName(body), flagOf(body['stream'], 'stream', true));
}

/** `POST /api/copy`: about the model that gets another name. */
export function readCopy(body: JsonObject): AskedManagement {
  return manage(readParts(body, 'source', 'destination'));
}

/** `POST /api/experimental/aliases`: another name, or with `prefix_matching` the beginning of any, for `target`. */
export function readAlias(body: JsonObject): AskedManagement {
  flagOf(body['prefix_matching'], 'prefix_matching');
  return manage(readParts(body, 'target', 'alias'));
}

/** `DELETE /api/experimental/aliases` */
export function readAliasDelete(body: JsonObject): AskedManagement {
  return manage(readParts(body, 'alias'));
}

/**
 * `POST /api/create`: `api.CreateRequest`. What stands in the model that it makes rides in every later prompt, so it is
 * described like one; `parameters` are its options.
 */
export function readCreate(body: JsonObject): AskedPrompt {
  const { model, models } = readModelOrName(body);
  const system = textOf(body['system'], 'system');
  const template = textOf(body['template'], 'template');
  const messages = objectsOf(body['messages'], 'messages');
  const measured = measureMessages(messages);
  const promptBytes = measured.bytes + bytesOf(system, 'system') + bytesOf(template, 'template');
  const options = objectOf(body['parameters'], 'parameters');
  return describePrompt(
    { model, models: [...models, ...readFrom(body)] },
    {
      stream: flagOf(body['stream'], 'stream', true),
      hasSystemPrompt: system !== '' || measured.hasSystemPrompt,
      hasTemplate: template !== '',
      messageCount: messages.length,
      imageCount: measured.images,
      promptBytes,
      options,
      maxTokens: predictLimitOf(options),
      content: {
        ...(messages.length > 0 && { messages: withPlainRoles(messages) }),
        ...(system !== '' && { system }),
        ...(template !== '' && { template }),
      },
    },
  );
}

export function manage({ model, models }: AskedModels, stream?: boolean): AskedManagement {
  return { kind: 'management', model, models, stream, metadata: undefined };
}
