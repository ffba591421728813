/** The dialect of Anthropic, as Ollama 0.17.4 writes it (`middleware/anthropic.go`, `anthropic/anthropic.go`). */
import {
  type Frame,
  type FrameReader,
  isRecord,
  readCount,
  readReason,
  type StreamReport,
  tellsError,
} from '../usage.ts';

/** `/v1/messages`. What `message_start` says is an estimate, made before the model ran. */
export const anthropicMessage: FrameReader = {
  counts: true,
  marker: /message_(?:delta|stop)|"error"/,
  bulk: undefined,
  readFrame(frame, report) {
    if (tellsError(frame)) report.failed = true;
    if (frame['type'] === 'message_stop') report.ended = true;
    if (frame['type'] !== 'message_delta') return;
    readUsage(frame, report);
    if (isRecord(frame['delta'])) report.finishReason = readReason(frame['delta']['stop_reason']);
  },
  readBody(body, report) {
    if (tellsError(body)) report.failed = true;
    if (body['type'] !== 'message') return;
    report.ended = true;
    report.finishReason = readReason(body['stop_reason']);
    readUsage(body, report);
  },
};

function readUsage(frame: Frame, report: StreamReport): void {
  const usage = frame['usage'];
  if (!isRecord(usage)) return;
  report.usage = {
    inputTokens: readCount(usage['input_tokens']),
    outputTokens: readCount(usage['output_tokens']),
  };
}
