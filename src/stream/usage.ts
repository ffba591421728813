/**
 * Where an answer says how many tokens it took (design: the stream). Only top-level members count: a model can emit text or
 * tool arguments that look like a final frame.
 */
import type { Api, Usage } from '../types.ts';

/** What the frames of one answer said so far. */
export interface StreamReport {
  usage: Usage | undefined;
  finishReason: string | undefined;
  /** The frame that ends an answer of this dialect was there. */
  ended: boolean;
  /** A line or event with `error`, which comes under status 200. */
  failed: boolean;
}

/** Reads one frame: the line of NDJSON, the data of an event, or a whole JSON body. */
export type ReadFrame = (frame: Readonly<Record<string, unknown>>, report: StreamReport) => void;

/**
 * What a chunk of whole frames must hold to be worth parsing. False alarms cost a parse, so the texts are chosen to be in
 * every frame that matters and in few others.
 */
export interface FrameReader {
  readonly readFrame: ReadFrame;
  /** Seen against the bytes as Latin-1, one character each. */
  readonly marker: RegExp;
}

const native: FrameReader = {
  // `"done":true` with any white space; error lines.
  marker: /true|"error"/,
  readFrame(frame, report) {
    if ('error' in frame) report.failed = true;
    if (frame['done'] !== true) return;
    report.ended = true;
    report.finishReason = readText(frame['done_reason']);
    // Absent means 0: a prompt that was cached whole has no prompt_eval_count.
    report.usage = {
      inputTokens: readCount(frame['prompt_eval_count']) ?? 0,
      outputTokens: readCount(frame['eval_count']) ?? 0,
    };
  },
};

const openai: FrameReader = {
  marker: /"usage"|\[DONE\]|"finish_reason":"|"error"/,
  readFrame(frame, report) {
    if ('error' in frame) report.failed = true;
    const choices = frame['choices'];
    if (Array.isArray(choices)) {
      const choice: unknown = choices[0];
      if (isRecord(choice)) report.finishReason = readText(choice['finish_reason']) ?? report.finishReason;
    }
    const usage = frame['usage'];
    // The last one wins: some servers send a running count with every chunk.
    if (isRecord(usage)) {
      report.usage = {
        inputTokens: readCount(usage['prompt_tokens']),
        outputTokens: readCount(usage['completion_tokens']),
      };
    }
    if (frame['object'] === 'chat.completion') report.ended = true;
  },
};

/** A new dialect is one more line here. */
const readers: Readonly<Record<Api, FrameReader>> = { ollama: native, gateway: native, openai, anthropic: openai };

export function frameReader(api: Api): FrameReader {
  return readers[api];
}

function readCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** Reasons are short names of the upstream's; whatever else stands there is not recorded. */
function readText(value: unknown): string | undefined {
  return typeof value === 'string' && /^[a-z_]{1,32}$/.test(value) ? value : undefined;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
