/** Ollama's own dialect (0.17.4, `api/types.go`). Zero counts are left out there (`omitempty`). */
import { type Frame, type FrameReader, readCount, readReason, type StreamReport, tellsError } from '../usage.ts';

/** `/api/chat` and `/api/generate`: the last frame is like a whole answer. */
export const ollamaGeneration: FrameReader = {
  counts: true,
  // `"done":true` with any white space; error lines.
  marker: /true|"error"/,
  // `/api/generate` ends with the ids of the whole conversation.
  bulk: { from: Buffer.from('"context":['), to: Buffer.from(']') },
  readFrame: readGeneration,
  readBody: readGeneration,
};

function readGeneration(frame: Frame, report: StreamReport): void {
  if (tellsError(frame)) report.failed = true;
  // A rendered prompt that was asked for (`_debug_render_only`) comes alone, with `"done":false`; no model ran.
  const rendered = frame['_debug_info'] !== undefined;
  if (frame['done'] !== true && !rendered) return;
  report.ended = true;
  report.finishReason = readReason(frame['done_reason']);
  report.usage =
    rendered || isLoad(report.finishReason)
      ? undefined
      : { inputTokens: readCount(frame['prompt_eval_count'] ?? 0), outputTokens: readCount(frame['eval_count'] ?? 0) };
}

/** The request only loaded or unloaded a model: no token was read or written. */
export function isLoad(reason: string | undefined): boolean {
  return reason === 'load' || reason === 'unload';
}

/** `/api/embed`: never streamed. Nothing is generated, so there is no count of output. */
export const ollamaEmbed: FrameReader = {
  counts: true,
  marker: /"embeddings"|"error"/,
  bulk: { from: Buffer.from('"embeddings":[['), to: Buffer.from(']]') },
  readFrame: readEmbeddings,
  readBody: readEmbeddings,
};

function readEmbeddings(frame: Frame, report: StreamReport): void {
  if (tellsError(frame)) report.failed = true;
  if (frame['embeddings'] === undefined) return;
  report.ended = true;
  report.usage = { inputTokens: readCount(frame['prompt_eval_count'] ?? 0), outputTokens: undefined };
}

/** `/api/pull`, `/api/push`, `/api/create`: lines of progress, the last of which says so. No counts. */
export const ollamaProgress: FrameReader = {
  counts: false,
  marker: /"success"|"error"/,
  bulk: undefined,
  readFrame: readProgress,
  readBody: readProgress,
};

function readProgress(frame: Frame, report: StreamReport): void {
  if (tellsError(frame)) report.failed = true;
  if (frame['status'] === 'success') report.ended = true;
}
