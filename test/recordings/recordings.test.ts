/**
 * Every recorded exchange with a real Ollama of the routes that are proxied, sent through the sidecar byte by byte as it was
 * recorded: what passes gets through unchanged both ways, and what does not is refused with the code that `table.json` says.
 *
 * The request's bytes are not touched, not even for a credential: anonymous callers are let in, with a role that may do
 * anything, so that only the guards decide. That makes `Host` matter, as it does for a person who configures the same.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type ErrorCode, errorTable } from '../../src/errors.ts';
import { type Sidecar, startSidecar } from '../support/ollama/sidecar.ts';
import { headerOf, parseMessage, parseResponses, type RawMessage, sendRaw, statusOf } from '../support/raw-http.ts';
import { type Recording, readRecording, recordingNames } from '../support/recordings.ts';
import { type ReplayUpstream, startReplayUpstream } from '../support/replay-upstream.ts';
import table from './table.json' with { type: 'json' };

interface Row {
  readonly outcome: string;
  /** Where it surprises: what Ollama did, or why the sidecar differs. */
  readonly note?: string;
}

const rows = new Map<string, Row>(Object.entries(table.recordings));
const passes = 'passes';

describe('recorded exchanges of the proxied routes', () => {
  let upstream: ReplayUpstream;
  let sidecar: Sidecar;

  before(async () => {
    upstream = await startReplayUpstream();
    sidecar = await startSidecar({ upstream: upstream.url, anonymous: true });
  });
  after(async () => {
    await sidecar.stop();
    await upstream.close();
  });

  it('stand in the table, each once, with "passes" or a code of the error table', () => {
    assert.deepEqual([...rows.keys()].sort(), [...recordingNames()].sort());
    for (const [name, { outcome }] of rows) {
      assert.ok(outcome === passes || Object.hasOwn(errorTable, outcome), `${name}: ${outcome} is no code`);
    }
    for (const [name, { outcome, note }] of rows) {
      const { methods, response } = readRecording(name);
      const served = parseResponses(response, methods).every((answer) => statusOf(answer) < 400);
      assert.ok(
        outcome === passes || !served || note,
        `${name}: Ollama serves it, so a note must say why it is refused`,
      );
    }
    for (const name of Object.keys(table.left_out)) assert.ok(!rows.has(name), `${name} is both listed and left out`);
  });

  for (const [name, { outcome }] of rows) {
    it(`${name}: ${outcome}`, async () => {
      const recording = readRecording(name);
      upstream.answerWith(recording);
      const { responses } = await sendRaw(sidecar.port, recording.request, { methods: recording.methods });
      const answer = responses[0];
      assert.ok(answer !== undefined, 'no answer');
      if (outcome === passes) comparePassed(responses, upstream.received, recording);
      else compareRefused(answer, outcome, upstream);
      const event = await sidecar.auditOf(headerOf(answer, 'x-request-id') ?? '');
      assert.equal(event.status, statusOf(answer));
      assert.equal(event.error, outcome === passes ? undefined : outcome);
    });
  }
});

function comparePassed(answers: readonly RawMessage[], received: readonly RawMessage[], recording: Recording): void {
  const recorded = parseResponses(recording.response, recording.methods).filter((message) => statusOf(message) >= 200);
  assert.deepEqual([answers.length, received.length], [recorded.length, recorded.length]);
  for (const [index, expected] of recorded.entries()) {
    const answer = elementAt(answers, index);
    assert.equal(statusOf(answer), statusOf(expected));
    assert.equal(headerOf(answer, 'content-type'), headerOf(expected, 'content-type'));
    assertSameBytes(answer.body, expected.body);
  }
  const left = [...received];
  let offset = 0;
  for (const ask of recording.asks) {
    const sent = parseMessage(recording.request, offset, undefined);
    assert.ok(sent !== undefined);
    offset = sent.end;
    // Pipelined requests may overtake each other on their way to the upstream.
    const at = left.findIndex(({ startLine }) => startLine === `${ask} HTTP/1.1`);
    assert.notEqual(at, -1, `the upstream was not asked for ${ask}`);
    const [forwarded] = left.splice(at, 1);
    assert.ok(forwarded !== undefined);
    if (asksForUsageOnBehalf(sent)) assertOnlySplice(forwarded.body, sent.body);
    else assertSameBytes(forwarded.body, sent.body);
  }
}

function compareRefused(answer: RawMessage, code: string, upstream: ReplayUpstream): void {
  assert.equal(headerOf(answer, 'x-opallama-reason'), code);
  assert.equal(statusOf(answer), errorTable[code as ErrorCode].status);
  assert.equal(upstream.begun, 0, 'the upstream saw something of it');
}

/** A streamed completion whose caller did not ask for its usage: the one case in which the body is changed. */
function asksForUsageOnBehalf(request: RawMessage): boolean {
  if (!/^POST \/v1\/(?:chat\/)?completions[ ?]/.test(request.startLine)) return false;
  const body: { stream?: unknown; stream_options?: { include_usage?: unknown } | null } = JSON.parse(
    request.body.toString(),
  );
  return body.stream === true && body.stream_options?.include_usage !== true;
}

/** One run of bytes was put in, which asks for the usage; all around it is as it was sent. */
function assertOnlySplice(forwarded: Buffer, sent: Buffer): void {
  let same = 0;
  while (same < sent.length && forwarded[same] === sent[same]) same += 1;
  const behind = sent.length - same;
  const inserted = forwarded.subarray(same, forwarded.length - behind);
  assertSameBytes(Buffer.concat([forwarded.subarray(0, same), forwarded.subarray(forwarded.length - behind)]), sent);
  assert.match(inserted.toString(), /include_usage/);
  assert.equal(JSON.parse(forwarded.toString()).stream_options.include_usage, true);
}

/** `deepEqual` of two large buffers takes seconds and prints every byte. */
function assertSameBytes(actual: Buffer, expected: Buffer): void {
  if (actual.equals(expected)) return;
  let at = 0;
  while (at < expected.length && actual[at] === expected[at]) at += 1;
  const around = (bytes: Buffer) => JSON.stringify(bytes.toString('utf8', Math.max(0, at - 40), at + 80));
  assert.fail(
    `${actual.length} bytes instead of ${expected.length}, different from byte ${at}: ${around(actual)} instead of ${around(expected)}`,
  );
}

function elementAt<T>(list: readonly T[], index: number): T {
  const element = list[index];
  if (element === undefined) throw new Error(`there is no element ${index}`);
  return element;
}
