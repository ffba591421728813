/**
 * Makes two answers of a real Ollama to the same call comparable. What differs by nature is replaced, in the text itself, so
 * that everything else is still compared byte for byte:
 *
 * | member | why it differs |
 * |---|---|
 * | `created_at`, `created`, `completed_at`, `expires_at` | the time of the answer, or of its model's unloading |
 * | `total_duration`, `load_duration`, `prompt_eval_duration`, `eval_duration` | measured |
 * | `id` of completions, responses, messages, their items and tool calls (`chatcmpl-…`, `msg_…`) | drawn at random |
 * | `request_id` of Anthropic's errors (`req_…`) | drawn at random |
 * | the order of a shown model's parameters | that of a Go map |
 */
export function withoutWhatDiffers(body: string): string {
  return body
    .replace(/"(created|completed|expires)_at":("[^"]+"|[\d.]+)/g, '"$1_at":"*"')
    .replace(/"created":\d+/g, '"created":"*"')
    .replace(/"(total|load|prompt_eval|eval)_duration":\d+/g, '"$1_duration":"*"')
    .replace(/"((?:item_|call_)?id)":"(?:chatcmpl-|cmpl-|(?:resp|msg|item|fc|rs|call|toolu)_)\w+"/g, '"$1":"*"')
    .replace(/\breq_\w+/g, 'req_*')
    .replace(/(?:PARAMETER [^\\]+\\n)+/g, sortLines)
    .replace(/(?<="parameters":")[^"]+(?=")/g, sortLines);
}

/** Lines of a text that is inside of JSON. */
function sortLines(text: string): string {
  return text.split('\\n').sort().join('\\n');
}

interface Usage {
  prompt_tokens?: number;
  completion_tokens?: number;
  input_tokens?: number;
  output_tokens?: number;
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
      embeddings?: unknown;
      usage?: Usage | null;
      response?: { usage?: Usage | null };
    } = JSON.parse(text);
    const usage = document.usage ?? (typeof document.response === 'object' ? document.response.usage : undefined);
    if (usage)
      counts = {
        input: usage.prompt_tokens ?? usage.input_tokens,
        output: usage.completion_tokens ?? usage.output_tokens,
      };
    else if (document.embeddings !== undefined) counts = { input: document.prompt_eval_count, output: undefined };
    else if (document.done === true) counts = { input: document.prompt_eval_count, output: document.eval_count };
  }
  return counts;
}
