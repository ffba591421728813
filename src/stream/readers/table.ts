import type { AnswerKind } from '../../types.ts';
import type { FrameReader, StreamReport } from '../usage.ts';
import { anthropicMessage } from './anthropic.ts';
import { ollamaEmbed, ollamaGeneration, ollamaProgress } from './ollama.ts';
import { openaiChat, openaiCompletion, openaiEmbed, openaiResponse } from './openai.ts';

/** A new kind of answer is one more line here. */
const readers: Readonly<Record<AnswerKind, FrameReader>> = {
  'ollama.generation': ollamaGeneration,
  'ollama.embed': ollamaEmbed,
  'ollama.progress': ollamaProgress,
  'openai.chat': openaiChat,
  'openai.completion': openaiCompletion,
  'openai.embed': openaiEmbed,
  'openai.response': openaiResponse,
  'anthropic.message': anthropicMessage,
};

export function frameReader(kind: AnswerKind): FrameReader {
  return readers[kind];
}

/** What is known of an answer of this kind before it has said anything. */
export function startReport(kind: AnswerKind): StreamReport {
  return { usage: readers[kind].counts ? 'unknown' : undefined, finishReason: undefined, ended: false, failed: false };
}
