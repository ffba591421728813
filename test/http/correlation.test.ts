/** Ids that callers send: taken over where they are well-formed, replaced or dropped elsewhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { asksForDebug, readRequestId, readTrace } from '../../src/http/correlation.ts';
import { atBest } from '../support/at-best.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

test('a well-formed request id is taken over, any other is replaced', () => {
  for (const id of ['a', 'A-1_b.c:d', 'x'.repeat(128)]) assert.equal(readRequestId({ 'x-request-id': id }), id);
  for (const id of ['', 'a b', 'a,b', 'x'.repeat(129), 'a"', 'a\n', 'é', '{}']) {
    assert.match(readRequestId({ 'x-request-id': id }), uuid, JSON.stringify(id));
  }
  assert.match(readRequestId({}), uuid);
});

test('a well-formed trace is taken over, and whether it is sampled', () => {
  assert.deepEqual(readTrace({ traceparent }), { traceparent, tracestate: undefined, traceId, sampled: true });
  assert.equal(readTrace({ traceparent: traceparent.replace(/01$/, '00') })?.sampled, false);
  // Versions to come may say more.
  const later = `cc-${traceId}-00f067aa0ba902b7-01-what-the-future-will-be-like`;
  assert.equal(readTrace({ traceparent: later })?.traceId, traceId);
});

const malformed = [
  '',
  'x',
  `ff-${traceId}-00f067aa0ba902b7-01`,
  `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
  `00-${traceId}-${'0'.repeat(16)}-01`,
  `00-${traceId.toUpperCase()}-00f067aa0ba902b7-01`,
  `00-${traceId}-00f067aa0ba902b7-1`,
  `00-${traceId}-00f067aa0ba902b7-01-more`,
  `00-${traceId}-00f067aa0ba902b7-01 `,
  `cc-${traceId}-00f067aa0ba902b7-01.more`,
  `cc-${traceId}-00f067aa0ba902b7-01-${'x'.repeat(201)}`,
  `${traceparent}, ${traceparent}`,
];

test('a trace that others could read otherwise is none', () => {
  for (const text of malformed) assert.equal(readTrace({ traceparent: text, tracestate: 'a=b' }), undefined, text);
});

test('a tracestate goes with its trace, if it is well-formed', () => {
  for (const tracestate of ['rojo=00f067aa0ba902b7', 'a=1,b=2', 'fw529a3039@dt=FfD/x:y', 'a=1, ,b=a b', '']) {
    assert.equal(readTrace({ traceparent, tracestate })?.tracestate, tracestate, tracestate);
  }
  const many = Array.from({ length: 33 }, (_, at) => `k${at}=v`).join();
  for (const tracestate of ['A=1', 'a=', 'a=b=c', 'a', '=b', 'a=\u00e9', 'a=b\u0001', many, `a=${'x'.repeat(300)}`]) {
    assert.equal(readTrace({ traceparent, tracestate })?.tracestate, undefined, tracestate);
    assert.equal(readTrace({ traceparent, tracestate })?.traceId, traceId);
  }
});

test('a hostile tracestate is read in no time', async () => {
  const tracestate = `${'a=b ,'.repeat(800)}!`.slice(0, 4096);
  const tookMs = await atBest(200, () => {
    const started = performance.now();
    readTrace({ traceparent, tracestate });
    readTrace({ traceparent, tracestate: `a=${' '.repeat(4000)}` });
    readTrace({ traceparent, tracestate: `${' '.repeat(4000)}!` });
    return performance.now() - started;
  });
  assert.ok(tookMs < 200, `${tookMs} ms`);
});

test('debug is asked for by 1 and true alone', () => {
  for (const sent of ['1', 'true']) assert.ok(asksForDebug({ 'x-opallama-debug': sent }));
  for (const sent of ['0', 'false', '', 'TRUE', '1, 1']) assert.ok(!asksForDebug({ 'x-opallama-debug': sent }));
});
