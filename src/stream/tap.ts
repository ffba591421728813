/**
 * Reads an answer as it goes by. The tap is told of bytes that are already on their way to the client: it can neither delay
 * nor break the delivery, and what it holds is bounded.
 *
 * Lines are split by split2. Chunks that consist of whole lines without a marker, nearly all of a stream, are not even
 * given to it; a line that arrives in pieces is put together first, because split2 would search it anew with each piece.
 */
import split2 from 'split2';

import type { AnswerKind } from '../types.ts';
import { createPieces, type Pieces } from './pieces.ts';
import { frameReader, startReport } from './readers/table.ts';
import { type FrameReader, isRecord, type ReadFrame, type StreamReport } from './usage.ts';

/** How an answer is framed, from its content type. */
export type Framing = 'ndjson' | 'sse' | 'json';

export interface Tap {
  /** Never throws. Keeps no reference to chunks of whole lines. */
  observe(chunk: Buffer): void;
  /** Call once, when no more bytes come; until then a body, or what is left of a line, is held. */
  report(): Readonly<StreamReport>;
}

const lineFeed = 0x0a;
const nothing: Buffer = Buffer.alloc(0);

/** @returns undefined for an answer that carries no counts, such as an error page */
export function readFraming(contentType: string | undefined): Framing | undefined {
  const end = contentType?.indexOf(';') ?? -1;
  const type = (end === -1 ? contentType : contentType?.slice(0, end))?.trim().toLowerCase();
  if (type === 'application/x-ndjson') return 'ndjson';
  if (type === 'text/event-stream') return 'sse';
  return type === 'application/json' ? 'json' : undefined;
}

export function createTap(kind: AnswerKind, framing: Framing): Tap {
  const reader = frameReader(kind);
  const report = startReport(kind);
  return framing === 'json' ? createBodyTap(reader, report) : createLineTap(reader, report, framing);
}

function createLineTap(reader: FrameReader, report: StreamReport, framing: 'ndjson' | 'sse'): Tap {
  const pieces = createPieces(reader.bulk);
  const readLine = framing === 'ndjson' ? readJson : readEventLine;
  // Made for the first line that is read: of a stream that goes on there is none yet, and thousands of them wait.
  let lines: ReturnType<typeof split2> | undefined;
  function read(bytes: Buffer): void {
    lines ??= split2((line: string) => readLine(line, reader.readFrame, report));
    lines.write(bytes);
  }

  return {
    observe(chunk) {
      // Ollama's chunks end with their line.
      const end = chunk[chunk.length - 1] === lineFeed ? chunk.length : chunk.lastIndexOf(lineFeed) + 1;
      if (end > 0) {
        const whole = end === chunk.length ? chunk : chunk.subarray(0, end);
        const joined = pieces.isEmpty() ? whole : pieces.take(whole);
        if (joined !== undefined && reader.marker.test(joined.toString('latin1'))) read(joined);
      }
      if (end < chunk.length) pieces.keep(end === 0 ? chunk : chunk.subarray(end));
    },
    report() {
      const last = pieces.take(Buffer.from('\n'));
      if (last !== undefined) read(last);
      lines?.destroy();
      return report;
    },
  };
}

function createBodyTap(reader: FrameReader, report: StreamReport): Tap {
  // Nearly always one chunk is the whole body, which is kept as it came.
  let first: Buffer | undefined;
  let pieces: Pieces | undefined;
  return {
    observe(chunk) {
      if (first === undefined) {
        first = chunk;
        return;
      }
      if (pieces === undefined) {
        pieces = createPieces(reader.bulk);
        pieces.keep(first);
      }
      pieces.keep(chunk);
    },
    report() {
      const body = pieces === undefined ? first : pieces.take(nothing);
      if (body !== undefined) readJson(body.toString('utf8'), reader.readBody, report);
      return report;
    },
  };
}

/** WHATWG HTML section 9.2.6: one space after the colon is not part of the data. Ollama writes each event's data in one line. */
function readEventLine(line: string, read: ReadFrame, report: StreamReport): void {
  if (!line.startsWith('data:')) return;
  const data = line.slice(line.startsWith('data: ') ? 6 : 5);
  if (data === '[DONE]') report.ended = true;
  else readJson(data, read, report);
}

function readJson(text: string, read: ReadFrame, report: StreamReport): void {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    // Not ours to judge: the client gets the bytes as they came, the record says that the counts are unknown.
    return;
  }
  if (isRecord(frame)) read(frame, report);
}
