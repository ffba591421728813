/** The recorded answers that carry counts or could, taken apart for the tests of the stream. */
import { type Framing, readFraming } from '../../src/stream/tap.ts';
import type { AnswerKind } from '../../src/types.ts';
import { headerOf, parseResponses, statusOf } from '../support/raw-http.ts';
import { readRecording, recordingNames } from '../support/recordings.ts';

export interface RecordedBody {
  readonly name: string;
  readonly path: string;
  readonly kind: AnswerKind;
  readonly framing: Framing;
  readonly body: Buffer;
  /** The answer as it was on the wire, head and chunk framing included. */
  readonly wire: Buffer;
}

const kinds: Readonly<Record<string, AnswerKind>> = {
  '/api/chat': 'ollama.generation',
  '/api/generate': 'ollama.generation',
  '/api/embed': 'ollama.embed',
  '/api/pull': 'ollama.progress',
  '/api/push': 'ollama.progress',
  '/api/create': 'ollama.progress',
  '/v1/chat/completions': 'openai.chat',
  '/v1/completions': 'openai.completion',
  '/v1/embeddings': 'openai.embed',
  '/v1/responses': 'openai.response',
  '/v1/messages': 'anthropic.message',
};

/** The streams among them. */
export function recordedStreams(): readonly RecordedBody[] {
  return recordedBodies().filter(({ framing }) => framing !== 'json');
}

/** Every recorded answer with status 200 of a route in `kinds`. */
export function recordedBodies(): readonly RecordedBody[] {
  return recordingNames().flatMap((name) => {
    const { request, methods, response } = readRecording(name);
    const path = /^[A-Z]+ ([^ ?]+)\S* HTTP/.exec(request.toString('latin1', 0, 200))?.[1] ?? '';
    const kind = kinds[path];
    const [answer] = parseResponses(response, methods);
    if (kind === undefined || answer === undefined || statusOf(answer) !== 200) return [];
    const framing = readFraming(headerOf(answer, 'content-type'));
    if (framing === undefined) return [];
    return [{ name, path, kind, framing, body: answer.body, wire: response.subarray(0, answer.end) }];
  });
}
