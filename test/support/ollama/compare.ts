/**
 * Makes two answers of a real Ollama to the same call comparable. What differs by nature is replaced, in the text itself, so
 * that everything else is still compared byte for byte:
 *
 * | member | why it differs |
 * |---|---|
 * | `created_at`, `created` | the time of the answer |
 * | `total_duration`, `load_duration`, `prompt_eval_duration`, `eval_duration` | measured |
 * | `id` of completions (`chatcmpl-…`) and of tool calls (`call_…`) | drawn at random |
 */
export function withoutWhatDiffers(body: string): string {
  return body
    .replace(/"created_at":"[^"]+"/g, '"created_at":"*"')
    .replace(/"created":\d+/g, '"created":"*"')
    .replace(/"(total|load|prompt_eval|eval)_duration":\d+/g, '"$1_duration":"*"')
    .replace(/"id":"chatcmpl-\d+"/g, '"id":"*"')
    .replace(/"id":"call_\w+"/g, '"id":"*"');
}

export interface Counts {
  readonly input: number | undefined;
  readonly output: number | undefined;
}

/** The token counts that an answer itself reports, in any of the dialects; the last ones count. */
export function countsIn(body: string): Counts | undefined {
  const documents = body
    .split('\n')
    .map((line) => line.replace(/^data: /, ''))
    .filter((line) => line.startsWith('{'));
  let counts: Counts | undefined;
  for (const text of documents) {
    const document: {
      done?: boolean;
      prompt_eval_count?: number;
      eval_count?: number;
      usage?: { prompt_tokens: number; completion_tokens: number } | null;
    } = JSON.parse(text);
    if (document.usage) counts = { input: document.usage.prompt_tokens, output: document.usage.completion_tokens };
    else if (document.done === true) counts = { input: document.prompt_eval_count, output: document.eval_count };
  }
  return counts;
}
