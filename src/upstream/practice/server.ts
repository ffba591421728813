/**
 * A stand-in for Ollama, for the quick start on a machine where none answers. It speaks the routes that the sidecar
 * proxies, in Ollama's own shapes and framing, and says what it is in every header and every text.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, composeAnswer } from './answer.ts';
import { createNativeFrames, createOpenAiFrames, type Frames, loadedFrame } from './frames.ts';
import { isKnownModel, listModels, listTags } from './models.ts';
import { type Asked, parseBody, Refusal, readChat, readCompletion, readGenerate } from './request.ts';

/** Name and value of the header that every answer carries. The sidecar must add it again: it drops unknown headers. */
export const PRACTICE_HEADER = ['x-opallama-upstream', 'practice'] as const;

export interface PracticeUpstream {
  readonly url: URL;
  /** Ends answers that are under way. */
  close(): Promise<void>;
}

const maxBodyBytes = 32 * 1024 * 1024;
const jsonType = 'application/json; charset=utf-8';

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/**
 * Binds 127.0.0.1 only.
 * @param options.port 0, the default, takes a free one
 * @param options.frameDelayMs pause before each frame, milliseconds; 20 by default, about the pace of a small model
 * @throws the listener's error, `EADDRINUSE` where the port is taken
 */
export async function createPracticeUpstream(
  options: { readonly port?: number; readonly frameDelayMs?: number } = {},
): Promise<PracticeUpstream> {
  const routes = createRoutes(options.frameDelayMs ?? 20);
  const server = createServer({ requestTimeout: 60_000, headersTimeout: 10_000 }, (request, response) => {
    response.setHeader(...PRACTICE_HEADER);
    void serve(routes, request, response);
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  return { url: new URL(`http://127.0.0.1:${portOf(server)}`), close: () => closeServer(server) };
}

function createRoutes(frameDelayMs: number): ReadonlyMap<string, Readonly<Record<string, Handler>>> {
  const startedAt = new Date();
  const read = (type: string, body: string) => {
    const handler: Handler = (_request, response) => send(response, 200, type, body);
    return { GET: handler, HEAD: handler };
  };
  const native = (route: 'chat' | 'generate', readAsked: typeof readChat) => ({
    POST: async (request: IncomingMessage, response: ServerResponse) => {
      const asked = readAsked(parseBody(await readBody(request)));
      requireModel(asked);
      if (asked.texts.length === 0) return send(response, 200, jsonType, loadedFrame(route, asked.model, asked.unload));
      await answer(response, asked, createNativeFrames(route, asked.model, performance.now()), frameDelayMs);
    },
  });
  return new Map<string, Readonly<Record<string, Handler>>>([
    ['/', read('text/plain; charset=utf-8', 'Ollama is running')],
    ['/api/version', read(jsonType, JSON.stringify({ version: '0.0.0-practice' }))],
    ['/api/tags', read(jsonType, JSON.stringify(listTags(startedAt)))],
    ['/api/chat', native('chat', readChat)],
    ['/api/generate', native('generate', readGenerate)],
    ['/v1/models', read('application/json', `${JSON.stringify(listModels(startedAt))}\n`)],
    [
      '/v1/chat/completions',
      {
        POST: async (request, response) => {
          const asked = readCompletion(parseBody(await readBody(request)));
          requireModel(asked);
          await answer(response, asked, createOpenAiFrames(asked.model, asked.includeUsage), frameDelayMs);
        },
      },
    ],
  ]);
}

async function serve(
  routes: ReadonlyMap<string, Readonly<Record<string, Handler>>>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '').replace(/\?.*$/s, '');
  const methods = routes.get(path);
  if (methods === undefined) return send(response, 404, 'text/plain', '404 page not found');
  const handler = new Map(Object.entries(methods)).get(request.method ?? '');
  if (handler === undefined) {
    response.setHeader('Allow', Object.keys(methods).join(', '));
    return send(response, 405, 'text/plain', '405 method not allowed');
  }
  try {
    await handler(request, response);
  } catch (error) {
    if (response.destroyed) return;
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const refusal = error instanceof Refusal ? error : new Refusal(500, 'the practice upstream failed');
    // Whatever is left of a body that was not read would be taken for the next request.
    if (!request.complete) response.setHeader('Connection', 'close');
    refuse(response, refusal, path.startsWith('/v1/'));
  }
}

/** Sends an answer, streamed if that was asked for; stops between two frames if the client leaves. */
async function answer(response: ServerResponse, asked: Asked, frames: Frames, frameDelayMs: number): Promise<void> {
  const spoken = composeAnswer(asked);
  if (!asked.stream) return send(response, 200, frames.wholeType, frames.whole(spoken));
  if (response.destroyed) return;
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  response.writeHead(200, { 'Content-Type': frames.streamType });
  for (const next of framesOf(spoken, frames)) {
    await sleep(frameDelayMs, undefined, { signal: gone.signal });
    if (!response.write(next())) await once(response, 'drain', { signal: gone.signal });
  }
  await sleep(frameDelayMs, undefined, { signal: gone.signal });
  response.end(frames.last(spoken));
}

/** Built when they are sent, because native frames carry their time. */
function framesOf(spoken: Answer, frames: Frames): ReadonlyArray<() => string> {
  const call = spoken.toolCall;
  if (call !== undefined) return [() => frames.toolCall(call)];
  return spoken.pieces.map((piece) => () => frames.piece(piece));
}

function requireModel(asked: Asked): void {
  if (!isKnownModel(asked.model)) throw new Refusal(404, `model '${asked.model}' not found`);
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Not `for await` over the request: leaving that loop destroys the socket before the refusal is sent.
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBodyBytes) {
        request.pause();
        reject(new Refusal(413, 'the request body is larger than 32 MiB'));
      } else chunks.push(chunk);
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', reject);
    request.once('close', () => reject(new Error('the client left')));
  });
}

/** Ollama's shapes of an error; its OpenAI side calls a bad request `invalid_request_error` and all else `api_error`. */
function refuse(response: ServerResponse, refusal: Refusal, openAi: boolean): void {
  if (openAi) {
    const type =
      refusal.status === 400 && refusal.message !== 'model is required' ? 'invalid_request_error' : 'api_error';
    const error = { message: refusal.message, type, param: null, code: null };
    send(response, refusal.status, 'application/json', `${JSON.stringify({ error })}\n`);
  } else {
    send(response, refusal.status, jsonType, JSON.stringify({ error: refusal.message }));
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the practice upstream has no port');
  return address.port;
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}
