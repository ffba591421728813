/**
 * Recorded exchanges with a real Ollama 0.17.4 (`test/recordings/data`): the request's bytes, an empty line, a line that
 * says RESPONSE, and the response's bytes with their chunk framing.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Recording {
  readonly name: string;
  readonly request: Buffer;
  /** Method and target of each request; several if they were pipelined. */
  readonly asks: readonly string[];
  readonly methods: readonly string[];
  readonly response: Buffer;
}

const data = join(import.meta.dirname, '..', 'recordings', 'data');
const separator = Buffer.from('\n\n=================== RESPONSE ===================\n');

/** Stands where the recorder left out the middle of a long run of one letter. */
const omission = /\n\.\.\.\[(\d+) bytes left out of this recording\]\.\.\.\n/;

export function recordingNames(): readonly string[] {
  return readdirSync(data)
    .filter((file) => file.endsWith('.http'))
    .map((file) => file.slice(0, -'.http'.length))
    .sort();
}

/** @param name without `.http` */
export function readRecording(name: string): Recording {
  const bytes = readFileSync(join(data, `${name}.http`));
  const at = bytes.indexOf(separator);
  if (at === -1) throw new Error(`${name} is not a recording.`);
  const request = restore(bytes.subarray(0, at));
  const lines = request.toString('latin1').matchAll(/(?:^|[\n}])([A-Za-z]+ [^ \r\n]+)(?: HTTP\/1\.\d)?\r?\n/g);
  const asks = Array.from(lines, (match) => match[1] ?? '');
  const methods = asks.map((ask) => ask.replace(/ .*/s, ''));
  return { name, request, asks, methods, response: bytes.subarray(at + separator.length) };
}

/** Puts back what the recorder left out where it can be known: the letter is the same on both sides. */
function restore(request: Buffer): Buffer {
  const text = request.toString('latin1');
  const cut = omission.exec(text);
  if (cut === null) return request;
  const before = text.charAt(cut.index - 1);
  const after = text.charAt(cut.index + cut[0].length);
  if (before !== after) throw new Error('The middle of this recording cannot be restored.');
  return Buffer.from(text.replace(omission, before.repeat(Number(cut[1]))), 'latin1');
}
