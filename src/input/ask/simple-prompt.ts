import { type AskedPrompt, type ContentMember, estimateTokens } from './asked.ts';
import type { AskedModels } from './model.ts';

/** What differs from a prompt of which nothing is asked. */
export interface SimplePrompt extends Partial<Omit<AskedPrompt, 'kind' | 'content' | 'estimatedTokens'>> {
  /** Of a prompt without messages. */
  readonly texts?: readonly string[];
  readonly content: Readonly<Partial<Record<ContentMember, unknown>>>;
}

/** @param prompt `texts` are measured and, where they are not empty, counted as messages; `promptBytes` and `messageCount` win */
export function describePrompt({ model, models }: AskedModels, prompt: SimplePrompt): AskedPrompt {
  let promptBytes = 0;
  let messageCount = 0;
  for (const text of prompt.texts ?? []) {
    if (text === '') continue;
    promptBytes += Buffer.byteLength(text);
    messageCount += 1;
  }
  const { texts: _texts, ...differing } = prompt;
  return {
    kind: 'prompt',
    model,
    models,
    stream: false,
    includeUsage: false,
    hasTools: false,
    toolNames: [],
    serverTools: [],
    hasSystemPrompt: false,
    hasTemplate: false,
    raw: false,
    hasContext: false,
    debug: false,
    messageCount,
    imageCount: 0,
    promptBytes,
    options: undefined,
    keepAlive: undefined,
    format: undefined,
    maxTokens: undefined,
    metadata: undefined,
    ...differing,
    estimatedTokens: estimateTokens(differing.promptBytes ?? promptBytes),
  };
}
