/**
 * What an answer says of itself: its counts, why it ended, whether it failed. The contract between the tap, which finds the
 * frames, and the readers (`readers/`), one for each kind of answer. Only top-level members of a frame count: a model can
 * write text or tool arguments that look like a final frame.
 */
import type { Usage } from '../types.ts';
import type { Bulk } from './pieces.ts';

/** What the frames of one answer said so far. */
export interface StreamReport {
  /** `unknown`: it should say its counts and has not; undefined: it has none to say. */
  usage: Usage | 'unknown' | undefined;
  finishReason: string | undefined;
  /** The frame that ends an answer of this kind was there. */
  ended: boolean;
  /** A line or event that tells of an error, which comes under status 200. */
  failed: boolean;
}

export type Frame = Readonly<Record<string, unknown>>;

/** Reads one frame into the report. */
export type ReadFrame = (frame: Frame, report: StreamReport) => void;

export interface FrameReader {
  /** Answers of this kind say what they took. */
  readonly counts: boolean;
  /**
   * What a chunk of whole frames must hold to be worth parsing, seen against its bytes as Latin-1, one character each. False
   * alarms cost a parse, so the texts are chosen to be in every frame that matters and in few others.
   */
  readonly marker: RegExp;
  /** What can make a frame of this kind enormous and says nothing here. */
  readonly bulk: Bulk | undefined;
  /** A frame of a stream: the line of NDJSON, or the data of an event. */
  readonly readFrame: ReadFrame;
  /** The JSON body of an answer that is not streamed. */
  readonly readBody: ReadFrame;
}

/** @returns undefined for what is no count: a wrong one is worse than none */
export function readCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** Reasons are short names of the upstream's; whatever else stands there is not recorded. */
export function readReason(value: unknown): string | undefined {
  return typeof value === 'string' && /^[a-z_]{1,32}$/.test(value) ? value : undefined;
}

/** `"error":null` stands in answers that are well. */
export function tellsError(frame: Frame): boolean {
  return frame['error'] !== undefined && frame['error'] !== null;
}

export function isRecord(value: unknown): value is Frame {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
