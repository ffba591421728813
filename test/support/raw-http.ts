/**
 * HTTP/1.1 by hand: sends bytes as they are and reads what comes back byte by byte, for what no client would send and no
 * client would show.
 */
import net from 'node:net';

export interface RawMessage {
  /** Without its line end. */
  readonly startLine: string;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  /** The body as it came, chunk framing included. */
  readonly framed: Buffer;
  /** The body without chunk framing. */
  readonly body: Buffer;
  /** `until_close`: neither a length nor chunks say where it ends. */
  readonly framing: 'none' | 'length' | 'chunked' | 'until_close';
  /** Whether all of it is there; never for `until_close`, which only the connection's end completes. */
  readonly complete: boolean;
  /** Offset behind the message in the bytes that it was read from. */
  readonly end: number;
}

/** The first value of a header; names in any case. */
export function headerOf(message: RawMessage, name: string): string | undefined {
  return message.headers.find(([candidate]) => candidate.toLowerCase() === name.toLowerCase())?.[1];
}

export function statusOf(message: RawMessage): number {
  return Number(/^HTTP\/1\.[01] (\d{3})/.exec(message.startLine)?.[1]);
}

/**
 * Reads one message.
 *
 * @param toMethod the method that a response answers, which decides whether it has a body (RFC 9112, 6.3); undefined for a
 *   request
 * @returns undefined while the head is not all there
 */
export function parseMessage(bytes: Buffer, offset: number, toMethod: string | undefined): RawMessage | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n', offset);
  if (headEnd === -1) return undefined;
  const [startLine = '', ...lines] = bytes.toString('latin1', offset, headEnd).split('\r\n');
  const headers = lines.map((line): readonly [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  const start = headEnd + 4;
  const head = { startLine, headers };
  const find = (name: string) => headers.find(([candidate]) => candidate.toLowerCase() === name)?.[1];
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(startLine)?.[1]);
  const bodiless =
    toMethod === 'HEAD' || (toMethod !== undefined && (status < 200 || status === 204 || status === 304));
  const length = find('content-length');
  if (!bodiless && find('transfer-encoding') === 'chunked')
    return { ...head, ...readChunks(bytes, start), framing: 'chunked' };
  if (!bodiless && length !== undefined) {
    const end = start + Number(length);
    const framed = bytes.subarray(start, end);
    return {
      ...head,
      framed,
      body: framed,
      framing: 'length',
      complete: bytes.length >= end,
      end: Math.min(end, bytes.length),
    };
  }
  if (bodiless || toMethod === undefined) {
    const nothing = bytes.subarray(start, start);
    return { ...head, framed: nothing, body: nothing, framing: 'none', complete: true, end: start };
  }
  const rest = bytes.subarray(start);
  return { ...head, framed: rest, body: rest, framing: 'until_close', complete: false, end: bytes.length };
}

function readChunks(bytes: Buffer, start: number): Pick<RawMessage, 'framed' | 'body' | 'complete' | 'end'> {
  const parts: Buffer[] = [];
  let at = start;
  const result = (complete: boolean, end: number) => ({
    framed: bytes.subarray(start, end),
    body: Buffer.concat(parts),
    complete,
    end,
  });
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) return result(false, bytes.length);
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (Number.isNaN(size))
      throw new Error(`not a chunk size: ${JSON.stringify(bytes.toString('latin1', at, lineEnd))}`);
    if (size === 0) {
      // Trailer lines, then an empty one.
      const trailer = bytes.indexOf('\r\n\r\n', lineEnd);
      return trailer === -1 ? result(false, bytes.length) : result(true, trailer + 4);
    }
    const chunkEnd = lineEnd + 2 + size;
    parts.push(bytes.subarray(lineEnd + 2, chunkEnd));
    if (bytes.length < chunkEnd + 2) return result(false, bytes.length);
    at = chunkEnd + 2;
  }
}

/** Reads the responses to a row of requests, interim ones (100) included. */
export function parseResponses(bytes: Buffer, methods: readonly string[]): RawMessage[] {
  const responses: RawMessage[] = [];
  let answered = 0;
  let at = 0;
  while (at < bytes.length) {
    const response = parseMessage(bytes, at, methods[answered] ?? 'GET');
    if (response === undefined) break;
    responses.push(response);
    if (statusOf(response) >= 200) answered += 1;
    at = response.end;
  }
  return responses;
}

export interface RawExchange {
  readonly bytes: Buffer;
  /** Interim responses are left out. */
  readonly responses: readonly RawMessage[];
  /** Whether the server ended the connection before all that was expected had come. */
  readonly closed: boolean;
}

/**
 * Sends bytes and waits until every request in them is answered or the server closes. Never closes its own side halfway:
 * for Ollama that is a client that left.
 *
 * @param options.methods of the requests that the bytes hold; one GET unless told
 * @param options.onData told of all that came so far, latin1
 * @param options.timeoutMs rejects after that; 30 s unless told
 */
export function sendRaw(
  port: number,
  bytes: Uint8Array,
  options: {
    readonly methods?: readonly string[];
    readonly timeoutMs?: number;
    readonly onData?: (text: string) => void;
  } = {},
): Promise<RawExchange> {
  const methods = options.methods ?? ['GET'];
  const timeoutMs = options.timeoutMs ?? 30_000;
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    const chunks: Buffer[] = [];
    const finals = () => parseResponses(Buffer.concat(chunks), methods).filter((response) => statusOf(response) >= 200);
    const finish = (closed: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ bytes: Buffer.concat(chunks), responses: finals(), closed });
    };
    const timer = setTimeout(() => {
      socket.destroy();
      const seen = Buffer.concat(chunks).toString('latin1').slice(0, 2000);
      reject(new Error(`no whole answer within ${timeoutMs} ms; so far: ${JSON.stringify(seen)}`));
    }, timeoutMs);
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      options.onData?.(Buffer.concat(chunks).toString('latin1'));
      const answers = finals();
      if (answers.length >= methods.length && answers.every((answer) => answer.complete)) finish(false);
    });
    socket.on('close', () => finish(true));
    // A server that refuses early may reset the connection while the rest is still being sent; what it said counts.
    socket.on('error', (error) => {
      if (chunks.length > 0) return;
      clearTimeout(timer);
      reject(error);
    });
    socket.write(bytes);
  });
}
