import type { RequestType } from '../input/routes.ts';
import type { AnswerKind } from '../types.ts';

/** What a body of each kind is answered with; undefined: nothing that says counts or could fail under status 200. */
const kinds: Readonly<Record<RequestType, AnswerKind | undefined>> = {
  'ollama.chat': 'ollama.generation',
  'ollama.generate': 'ollama.generation',
  'openai.chat': 'openai.chat',
};

export function answerKind(request: RequestType | undefined): AnswerKind | undefined {
  return request && kinds[request];
}
