/** The recorded answers of the proxied routes, taken apart for the tests of the stream. */
import { guessApi } from '../../src/input/routes.ts';
import { type Framing, readFraming } from '../../src/stream/tap.ts';
import type { Api } from '../../src/types.ts';
import { headerOf, parseResponses, statusOf } from '../support/raw-http.ts';
import { readRecording, recordingNames } from '../support/recordings.ts';

export interface RecordedBody {
  readonly name: string;
  readonly api: Api;
  readonly framing: Framing;
  readonly body: Buffer;
}

/** Every recorded answer with status 200 that carries counts or could. */
export function recordedBodies(): readonly RecordedBody[] {
  return recordingNames().flatMap((name) => {
    const { request, methods, response } = readRecording(name);
    const target = /^[A-Z]+ (\S+) HTTP/.exec(request.toString('latin1', 0, 200))?.[1] ?? '';
    if (!/^\/(?:api\/(?:chat|generate)|v1\/chat\/completions)$/.test(target)) return [];
    const [answer] = parseResponses(response, methods);
    if (answer === undefined || statusOf(answer) !== 200) return [];
    const framing = readFraming(headerOf(answer, 'content-type'));
    return framing === undefined ? [] : [{ name, api: guessApi(target), framing, body: answer.body }];
  });
}

/** The streams among them. */
export function recordedStreams(): readonly RecordedBody[] {
  return recordedBodies().filter(({ framing }) => framing !== 'json');
}
