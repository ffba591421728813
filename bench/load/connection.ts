/**
 * A client on one keep-alive connection that costs little beside what it measures: whole requests as bytes, answers read
 * without keeping them.
 */
import { connect, type Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly bodyBytes: number;
  /** From the request's last byte written to the first byte of the answer's body, ms. */
  readonly firstByteMs: number;
  /** Reads that brought body: fewer than frames where some came together. */
  readonly reads: number;
}

export interface Connection {
  /** One at a time. Rejects where the peer closes, or answers with something that is not HTTP. */
  ask(request: Buffer): Promise<Answer>;
  close(): void;
}

interface Reader {
  /** @returns true where the body is complete */
  read(bytes: Buffer): boolean;
  readonly bodyBytes: number;
}

/** An answer that takes longer is a fault of the bench or of what it measures. */
const patienceMs = 20_000;

export async function openConnection(port: number): Promise<Connection> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.setTimeout(patienceMs, () => socket.destroy(new Error(`No answer for ${patienceMs} ms.`)));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return { ask: (request) => ask(socket, request), close: () => socket.destroy() };
}

function ask(socket: Socket, request: Buffer): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const startedMs = performance.now();
  let head: Buffer = Buffer.alloc(0);
  let status = 0;
  let reader: Reader | undefined;
  let firstByteMs: number | undefined;
  let reads = 0;

  const end = (error?: Error): void => {
    socket.off('data', onData).off('close', onClose).off('error', end);
    if (error !== undefined) {
      socket.destroy();
      reject(error);
    } else resolve({ status, bodyBytes: reader?.bodyBytes ?? 0, firstByteMs: firstByteMs ?? 0, reads });
  };
  const onClose = (): void => end(new Error('The peer closed the connection before its answer was whole.'));
  const onData = (chunk: Buffer): void => {
    let body = chunk;
    if (reader === undefined) {
      head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
      const at = head.indexOf('\r\n\r\n');
      if (at === -1) return;
      const text = head.toString('latin1', 0, at);
      status = Number(text.slice(9, 12));
      reader = createReader(text);
      body = head.subarray(at + 4);
    }
    if (body.length > 0) {
      reads += 1;
      firstByteMs ??= performance.now() - startedMs;
    }
    if (reader.read(body)) end();
  };
  socket.on('data', onData).on('close', onClose).on('error', end);
  socket.write(request);
  return promise;
}

function createReader(head: string): Reader {
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  return length === undefined ? createChunkedReader() : createLengthReader(Number(length));
}

function createLengthReader(length: number): Reader {
  let bodyBytes = 0;
  return {
    read(bytes) {
      bodyBytes += bytes.length;
      return bodyBytes >= length;
    },
    get bodyBytes() {
      return bodyBytes;
    },
  };
}

/** RFC 9112 section 7.1, without extensions and trailers. */
function createChunkedReader(): Reader {
  let bodyBytes = 0;
  /** Of the chunk that is being read, its line end included. */
  let missing = 0;
  let size = '';
  return {
    read(bytes) {
      let at = 0;
      while (at < bytes.length) {
        if (missing > 0) {
          const taken = Math.min(missing, bytes.length - at);
          missing -= taken;
          at += taken;
          continue;
        }
        const lineEnd = bytes.indexOf(0x0a, at);
        size += bytes.toString('latin1', at, lineEnd === -1 ? bytes.length : lineEnd);
        if (lineEnd === -1) return false;
        at = lineEnd + 1;
        const length = Number.parseInt(size, 16);
        if (Number.isNaN(length)) throw new Error(`Not a chunk's size: ${size}`);
        size = '';
        // The last chunk is followed by an empty line, which is here with it: servers write both at once.
        if (length === 0) return true;
        bodyBytes += length;
        missing = length + 2;
      }
      return false;
    },
    get bodyBytes() {
      return bodyBytes;
    },
  };
}
