/** The requests that the bench sends and the answers that its stand-in for Ollama has ready for them. */

/**
 * `length`: the whole answer at once, of Ollama's own API; `completion`: the same of OpenAI's; `ndjson` and `sse`: a stream
 * of frames in that framing.
 */
export type Kind = 'length' | 'completion' | 'ndjson' | 'sse';

const openaiPath = '/v1/chat/completions';

export interface Asked {
  readonly kind: Kind;
  /** Frames of a stream, the last ones that carry the counts not included. */
  readonly frames: number;
  /** `/v1` only: one more event with the counts. */
  readonly includeUsage: boolean;
}

export const model = 'llama3.2';
/** Size of the bodies that are sent, bytes: that of a short chat. */
const bodyBytes = 1024;
const created = '2026-01-01T00:00:00.000000000Z';

/** @returns a whole HTTP request for one keep-alive connection */
export function buildRequest(
  kind: Kind,
  frames: number,
  token: string,
  headers: Readonly<Record<string, string>> = {},
): Buffer {
  const body = buildBody(kind, frames);
  const head = [
    `POST ${isOpenai(kind) ? openaiPath : '/api/chat'} HTTP/1.1`,
    'host: 127.0.0.1',
    'user-agent: opallama-bench',
    'accept: */*',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    `authorization: Bearer ${token}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function isOpenai(kind: Kind): boolean {
  return kind === 'sse' || kind === 'completion';
}

/** A chat of some turns, filled up to a fixed size. */
function buildBody(kind: Kind, frames: number): string {
  const render = (question: string): string =>
    JSON.stringify({
      model,
      messages: [
        { role: 'system', content: 'You answer in one short sentence.' },
        { role: 'user', content: 'Why is the sky blue?' },
        { role: 'assistant', content: 'Because air scatters blue light more than red light.' },
        { role: 'user', content: question },
      ],
      stream: kind === 'ndjson' || kind === 'sse',
      ...(isOpenai(kind)
        ? { max_tokens: frames, temperature: 0.7 }
        : { options: { num_predict: frames, temperature: 0.7 } }),
    });
  return render('Tell me more. '.repeat(bodyBytes).slice(0, bodyBytes - Buffer.byteLength(render(''))));
}

/** What the stand-in makes of a request, read without a parser: it knows who writes to it, some of them with spaces. */
export function readAsked(head: string, body: Buffer): Asked {
  const text = body.toString('latin1');
  const frames = Number(/"(?:num_predict|max_tokens)": ?(\d+)/.exec(text)?.[1] ?? 0);
  const openai = head.startsWith('POST /v1/');
  if (!/"stream": ?true/.test(text)) return { kind: openai ? 'completion' : 'length', frames, includeUsage: false };
  return { kind: openai ? 'sse' : 'ndjson', frames, includeUsage: /"include_usage": ?true/.test(text) };
}

const chatBody = Buffer.from(
  JSON.stringify({
    model,
    created_at: created,
    message: { role: 'assistant', content: 'Short waves are scattered by the molecules of the air. '.repeat(6) },
    done: true,
    ...nativeCounts(80),
  }),
);

const completionBody = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_767_225_600,
    model,
    system_fingerprint: 'fp_ollama',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'Short waves are scattered by the molecules of the air. '.repeat(6) },
        finish_reason: 'stop',
      },
    ],
    usage: { prompt_tokens: 240, completion_tokens: 80, total_tokens: 320 },
  }),
);

function nativeCounts(frames: number) {
  return {
    done_reason: 'stop',
    total_duration: 1_234_567_890,
    load_duration: 12_345_678,
    prompt_eval_count: 240,
    prompt_eval_duration: 123_456_789,
    eval_count: frames,
    eval_duration: 987_654_321,
  };
}

/** @returns each frame of a stream as Ollama writes it, one HTTP chunk each; an answer of known length is one frame */
export function buildFrames({ kind, frames, includeUsage }: Asked): readonly Buffer[] {
  if (kind === 'length') return [chatBody];
  if (kind === 'completion') return [completionBody];
  const [frame, last] = kind === 'ndjson' ? nativeFrames(frames) : openaiFrames(frames, includeUsage);
  return [...Array.from({ length: frames }, () => frame), last];
}

function nativeFrames(frames: number): [frame: Buffer, last: Buffer] {
  const line = (content: string, rest: object): Buffer =>
    Buffer.from(
      `${JSON.stringify({ model, created_at: created, message: { role: 'assistant', content }, ...rest })}\n`,
    );
  return [line(' tick', { done: false }), line('', { done: true, ...nativeCounts(frames) })];
}

function openaiFrames(frames: number, includeUsage: boolean): [frame: Buffer, last: Buffer] {
  const event = (rest: object): string => {
    const base = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1_767_225_600, model };
    return `data: ${JSON.stringify({ ...base, system_fingerprint: 'fp_ollama', ...rest })}\n\n`;
  };
  const choice = (content: string, finish: string | null): object => ({
    choices: [{ index: 0, delta: { role: 'assistant', content }, finish_reason: finish }],
  });
  const usage = { prompt_tokens: 240, completion_tokens: frames, total_tokens: 240 + frames };
  const counts = includeUsage ? event({ choices: [], usage }) : '';
  // Ollama writes these three in one chunk.
  return [
    Buffer.from(event(choice(' tick', null))),
    Buffer.from(`${event(choice('', 'stop'))}${counts}data: [DONE]\n\n`),
  ];
}

/** Bytes of the body that the caller has to get: what it would get without anything in between. */
export function expectedBytes(kind: Kind, frames: number): number {
  return buildFrames({ kind, frames, includeUsage: false }).reduce((sum, frame) => sum + frame.length, 0);
}
