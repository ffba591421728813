/** How answers look in each dialect, member by member in the order in which Ollama 0.17 writes them. */
import { randomInt } from 'node:crypto';
import type { Answer, ToolCall } from './answer.ts';

/** One answer in one dialect. A frame is what Ollama sends in one HTTP chunk. */
export interface Frames {
  readonly streamType: string;
  readonly wholeType: string;
  /** A frame with text. */
  piece(text: string): string;
  /** A frame with a tool call, whole. */
  toolCall(call: ToolCall): string;
  /** The last frame: why it ended, the counts, and the dialect's mark of the end. */
  last(answer: Answer): string;
  /** The body where nothing is streamed. */
  whole(answer: Answer): string;
}

const jsonType = 'application/json; charset=utf-8';

/** @param startedAt the clock (`performance.now()`) when the request came; durations on the wire are in nanoseconds */
export function createNativeFrames(route: 'chat' | 'generate', model: string, startedAt: number): Frames {
  let firstAt: number | undefined;
  const text = (content: string, calls?: readonly unknown[]) =>
    route === 'generate'
      ? { response: content }
      : { message: { role: 'assistant', content, ...(calls === undefined ? {} : { tool_calls: calls }) } };
  const head = () => ({ model, created_at: new Date().toISOString() });
  const nativeCall = (call: ToolCall) => ({
    id: call.id,
    function: { index: 0, name: call.name, arguments: call.arguments },
  });
  const tail = (answer: Answer) => {
    const now = performance.now();
    const first = firstAt ?? now;
    return {
      done: true,
      done_reason: answer.reason,
      // Ollama gives the token ids of the conversation here; nothing reads them back.
      ...(route === 'generate' ? { context: answer.pieces.map((piece) => piece.length) } : {}),
      total_duration: nanoseconds(now - startedAt),
      load_duration: 1,
      prompt_eval_count: answer.promptTokens,
      prompt_eval_duration: nanoseconds(first - startedAt),
      eval_count: answer.outputTokens,
      eval_duration: nanoseconds(now - first),
    };
  };
  const frame = (value: unknown) => {
    firstAt ??= performance.now();
    return `${JSON.stringify(value)}\n`;
  };
  return {
    streamType: 'application/x-ndjson',
    wholeType: jsonType,
    piece: (content) => frame({ ...head(), ...text(content), done: false }),
    toolCall: (call) => frame({ ...head(), ...text('', [nativeCall(call)]), done: false }),
    last: (answer) => frame({ ...head(), ...text(''), ...tail(answer) }),
    whole: (answer) => {
      const calls = answer.toolCall === undefined ? undefined : [nativeCall(answer.toolCall)];
      return JSON.stringify({ ...head(), ...text(answer.pieces.join(''), calls), ...tail(answer) });
    },
  };
}

export function createOpenAiFrames(model: string, includeUsage: boolean): Frames {
  const id = `chatcmpl-${randomInt(1000)}`;
  const created = Math.floor(Date.now() / 1000);
  const head = (object: string) => ({ id, object, created, model, system_fingerprint: 'fp_ollama' });
  const event = (members: object) => `data: ${JSON.stringify({ ...head('chat.completion.chunk'), ...members })}\n\n`;
  const choice = (delta: object, reason: string | null) => ({ choices: [{ index: 0, delta, finish_reason: reason }] });
  const openAiCall = (call: ToolCall) => ({
    id: call.id,
    index: 0,
    type: 'function',
    function: { name: call.name, arguments: JSON.stringify(call.arguments) },
  });
  const reasonOf = (answer: Answer) => (answer.toolCall === undefined ? answer.reason : 'tool_calls');
  const usageOf = (answer: Answer) => ({
    prompt_tokens: answer.promptTokens,
    completion_tokens: answer.outputTokens,
    total_tokens: answer.promptTokens + answer.outputTokens,
  });
  return {
    streamType: 'text/event-stream',
    wholeType: 'application/json',
    piece: (content) => event(choice({ role: 'assistant', content }, null)),
    toolCall: (call) => event(choice({ role: 'assistant', content: '', tool_calls: [openAiCall(call)] }, null)),
    last: (answer) =>
      event(choice({ role: 'assistant', content: '' }, reasonOf(answer))) +
      (includeUsage ? event({ choices: [], usage: usageOf(answer) }) : '') +
      'data: [DONE]\n\n',
    whole: (answer) => {
      const calls = answer.toolCall === undefined ? {} : { tool_calls: [openAiCall(answer.toolCall)] };
      const message = { role: 'assistant', content: answer.pieces.join(''), ...calls };
      return `${JSON.stringify({
        ...head('chat.completion'),
        choices: [{ index: 0, message, finish_reason: reasonOf(answer) }],
        usage: usageOf(answer),
      })}\n`;
    },
  };
}

/** The answer to a request without a prompt, which only loads or unloads a model. */
export function loadedFrame(route: 'chat' | 'generate', model: string, unload: boolean): string {
  const text = route === 'generate' ? { response: '' } : { message: { role: 'assistant', content: '' } };
  return JSON.stringify({
    model,
    created_at: new Date().toISOString(),
    ...text,
    done: true,
    done_reason: unload ? 'unload' : 'load',
  });
}

function nanoseconds(milliseconds: number): number {
  return Math.max(1, Math.round(milliseconds * 1e6));
}
