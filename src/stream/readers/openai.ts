/** The dialect of OpenAI, as Ollama 0.17.4 writes it (`middleware/openai.go`, `openai/`). */
import {
  type Frame,
  type FrameReader,
  isRecord,
  readCount,
  readReason,
  type StreamReport,
  tellsError,
} from '../usage.ts';
import { isLoad } from './ollama.ts';

/** `/v1/chat/completions`: a stream ends with `[DONE]`, which the tap knows, and has counts where they were asked for. */
export const openaiChat: FrameReader = {
  counts: true,
  marker: /"usage"|\[DONE\]|"finish_reason":"|"error"/,
  bulk: undefined,
  readFrame: readChoices,
  readBody: readChoicesBody,
};

/**
 * `/v1/completions`: the same, but that with counts asked for each chunk has a zero `usage`, which is no count: a stream that
 * breaks off says nothing. Only the event without choices counts.
 */
export const openaiCompletion: FrameReader = {
  counts: true,
  marker: /"choices":\s*\[\s*\]|\[DONE\]|"finish_reason":"|"error"/,
  bulk: undefined,
  readFrame(frame, report) {
    const choices = frame['choices'];
    const counts = Array.isArray(choices) && choices.length === 0;
    readChoices(counts ? frame : { ...frame, usage: undefined }, report);
  },
  readBody: readChoicesBody,
};

function readChoices(frame: Frame, report: StreamReport): void {
  if (tellsError(frame)) report.failed = true;
  const choices = frame['choices'];
  if (Array.isArray(choices)) {
    const choice: unknown = choices[0];
    if (isRecord(choice)) report.finishReason = readReason(choice['finish_reason']) ?? report.finishReason;
  }
  const usage = frame['usage'];
  // The last one wins: some servers send a running count with every chunk.
  if (isRecord(usage)) {
    report.usage = {
      inputTokens: readCount(usage['prompt_tokens']),
      outputTokens: readCount(usage['completion_tokens']),
    };
  }
  if (isLoad(report.finishReason)) report.usage = undefined;
}

function readChoicesBody(frame: Frame, report: StreamReport): void {
  readChoices(frame, report);
  if (Array.isArray(frame['choices'])) report.ended = true;
  // A rendered prompt that was asked for; no model ran.
  if (frame['_debug_info'] !== undefined) report.usage = undefined;
}

/** `/v1/embeddings`: never streamed. */
export const openaiEmbed: FrameReader = {
  counts: true,
  marker: /"data"|"error"/,
  bulk: { from: Buffer.from('"data":[{'), to: Buffer.from('}]') },
  readFrame: readEmbeddings,
  readBody: readEmbeddings,
};

function readEmbeddings(frame: Frame, report: StreamReport): void {
  if (tellsError(frame)) report.failed = true;
  const usage = frame['usage'];
  if (frame['data'] === undefined || !isRecord(usage)) return;
  report.ended = true;
  report.usage = { inputTokens: readCount(usage['prompt_tokens']), outputTokens: undefined };
}

/** `/v1/responses`: the last event holds the whole answer, and with it the counts. There is no `[DONE]`. */
export const openaiResponse: FrameReader = {
  counts: true,
  marker: /response\.(?:completed|incomplete|failed)|"error"/,
  bulk: undefined,
  readFrame(frame, report) {
    // Many events carry a response with `"error":null`, and only these three end it.
    if (frame['type'] === 'error' || tellsError(frame)) report.failed = true;
    const response = frame['response'];
    const ends = frame['type'] === 'response.completed' || frame['type'] === 'response.incomplete';
    if (isRecord(response) && (ends || frame['type'] === 'response.failed')) readResponse(response, report);
  },
  readBody: readResponse,
};

function readResponse(response: Frame, report: StreamReport): void {
  const { status, usage, incomplete_details: details } = response;
  if (tellsError(response) || status === 'failed') report.failed = true;
  // Ollama says "completed" also where a limit cut the answer; the dialect itself has "incomplete" and a reason for that.
  report.finishReason = readReason(isRecord(details) ? details['reason'] : undefined) ?? readReason(status);
  report.ended = status === 'completed' || status === 'incomplete';
  if (isRecord(usage)) {
    report.usage = {
      inputTokens: readCount(usage['input_tokens']),
      outputTokens: readCount(usage['output_tokens']),
    };
  }
}
