import type { RequestType } from '../input/routes.ts';
import type { AnswerKind } from '../types.ts';

/**
 * What a body of each kind is answered with. The others are answered with nothing that says counts, and with nothing that
 * fails under status 200.
 */
const kinds: ReadonlyMap<RequestType, AnswerKind> = new Map([
  ['ollama.chat', 'ollama.generation'],
  ['ollama.generate', 'ollama.generation'],
  ['ollama.embed', 'ollama.embed'],
  ['ollama.pull', 'ollama.progress'],
  ['ollama.push', 'ollama.progress'],
  ['ollama.create', 'ollama.progress'],
  ['openai.chat', 'openai.chat'],
  ['openai.completion', 'openai.completion'],
  ['openai.embed', 'openai.embed'],
  ['openai.responses', 'openai.response'],
  ['anthropic.messages', 'anthropic.message'],
]);

export function answerKind(request: RequestType | undefined): AnswerKind | undefined {
  return request === undefined ? undefined : kinds.get(request);
}
