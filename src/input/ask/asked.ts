import type { AskedModels } from './model.ts';

/** What a request asks for, its dialect taken away: something of a model, or something about models. */
export type Asked = AskedPrompt | AskedManagement;

/** A request about models that brings no text for one. */
export interface AskedManagement extends AskedModels {
  readonly kind: 'management';
  /** What Ollama will do; undefined where there is nothing that it could stream. */
  readonly stream: boolean | undefined;
  readonly metadata: undefined;
}

export interface AskedPrompt extends AskedModels {
  readonly kind: 'prompt';
  /** What Ollama will do, its default applied. */
  readonly stream: boolean;
  /** `stream_options.include_usage` as the caller sent it (v1 only): whether the caller is to see the usage chunk. */
  readonly includeUsage: boolean;
  readonly toolNames: readonly string[];
  /** Those of them that Ollama runs itself, each once. Their names are Ollama's, whatever the caller calls them. */
  readonly serverTools: readonly string[];
  readonly hasTools: boolean;
  readonly hasSystemPrompt: boolean;
  readonly hasTemplate: boolean;
  readonly raw: boolean;
  readonly hasContext: boolean;
  readonly debug: boolean;
  readonly messageCount: number;
  readonly imageCount: number;
  /**
   * UTF-8 bytes of the text that the caller adds to the prompt: contents, thinking, prompt, suffix, system, template, names
   * and arguments of tool calls, and the tools as JSON. Images are not text.
   */
  readonly promptBytes: number;
  /** Four bytes a token, as is usual for English, and one for each id of `context`; rounded up. Not what a tokenizer says. */
  readonly estimatedTokens: number;
  readonly options: Readonly<Record<string, unknown>> | undefined;
  /** As it came; undefined where it is not there, null, or ignored on this route. */
  readonly keepAlive: unknown;
  /** `"json"` or a JSON Schema, as Ollama's own dialect has it. */
  readonly format: unknown;
  /** The limit that Ollama will apply, undefined if none. */
  readonly maxTokens: number | undefined;
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
  /** The members that hold the caller's text, as they came. */
  readonly content: Readonly<Partial<Record<ContentMember, unknown>>>;
}

/** Members of the input that hold what the caller wrote: built only if the policy reads them, and never recorded. */
export const contentMembers = ['messages', 'prompt', 'system', 'suffix', 'template'] as const;
export type ContentMember = (typeof contentMembers)[number];

export function estimateTokens(promptBytes: number, contextIds = 0): number {
  return Math.ceil(promptBytes / 4) + contextIds;
}
