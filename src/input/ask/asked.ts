import type { ModelRef } from '../../types.ts';

/** What a body asks for, its dialect taken away; `undefined` for what this kind of request doesn't have. */
export interface Asked {
  readonly model: ModelRef;
  /** What Ollama will do, its default applied. */
  readonly stream: boolean;
  /** `stream_options.include_usage` as the caller sent it (v1 only): whether the caller sees the usage chunk. */
  readonly includeUsage: boolean;
  readonly hasTools: boolean;
  readonly toolNames: readonly string[];
  readonly hasSystemPrompt: boolean;
  readonly hasTemplate: boolean;
  readonly raw: boolean;
  readonly hasContext: boolean;
  readonly debug: boolean;
  readonly messageCount: number;
  readonly imageCount: number;
  /** UTF-8 bytes of all the text that goes into the prompt. */
  readonly promptBytes: number;
  readonly estimatedTokens: number;
  readonly options: Readonly<Record<string, unknown>> | undefined;
  readonly keepAlive: unknown;
  readonly format: unknown;
  readonly maxTokens: number | undefined;
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
  /** The members that hold the caller's text, as they came. */
  readonly content: Readonly<Partial<Record<ContentMember, unknown>>>;
}

export type ContentMember = 'messages' | 'prompt' | 'system' | 'suffix' | 'template';
