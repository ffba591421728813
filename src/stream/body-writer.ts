/**
 * Writes the body of an answer that goes out piece by piece. In chunks (RFC 9112, section 7.1) where the client takes them:
 * Node would make four writes of each, its length, a line end, its bytes and another; one buffer costs a frame some 2 µs
 * less of 14 (`npm run bench:framing`, docs/decisions/034).
 */
import type { ServerResponse } from 'node:http';

export interface BodyWriter {
  /** @returns false where the sink has enough: wait for its `drain` */
  write(bytes: Buffer, onSent?: () => void): boolean;
  /** All of it was written. */
  end(): void;
}

/** Up to this size a piece is copied to go out as one buffer, bytes. */
const longestCopied = 16 * 1024;
const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const lineEnd = Buffer.of(carriageReturn, lineFeed);
const lastChunk = Buffer.from('0\r\n\r\n');

/** @param sink with its head written; nobody else may write to it from now on */
export function openBody(sink: ServerResponse): BodyWriter {
  // What Node asks with each write to know whether to make a chunk of it; what the head says was settled before.
  if (!sink.chunkedEncoding) return { write: (bytes, onSent) => sink.write(bytes, onSent), end: () => sink.end() };
  sink.chunkedEncoding = false;
  return {
    write(bytes, onSent) {
      // It would be the last chunk.
      if (bytes.length === 0) return true;
      if (bytes.length <= longestCopied) return sink.write(chunkOf(bytes), onSent);
      sink.write(Buffer.from(`${bytes.length.toString(16)}\r\n`, 'latin1'));
      sink.write(bytes);
      return sink.write(lineEnd, onSent);
    },
    end: () => sink.end(lastChunk),
  };
}

/** Byte by byte, because calls to write so few cost more. */
function chunkOf(bytes: Buffer): Buffer {
  const length = bytes.length.toString(16);
  const start = length.length + lineEnd.length;
  const chunk = Buffer.allocUnsafe(start + bytes.length + lineEnd.length);
  for (let i = 0; i < length.length; i += 1) chunk[i] = length.charCodeAt(i);
  chunk[start - 2] = carriageReturn;
  chunk[start - 1] = lineFeed;
  chunk.set(bytes, start);
  chunk[chunk.length - 2] = carriageReturn;
  chunk[chunk.length - 1] = lineFeed;
  return chunk;
}
