/** Two allow-lists: what is not on them stays here, credentials above all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildAnswerHeaders, buildRequestHeaders, joinRepeated } from '../../src/upstream/headers.ts';

const options = {
  requestId: 'r-1',
  trace: undefined,
  length: undefined,
  via: '1.1 us',
  set: {},
  remove: [],
};

/** Credentials, hop-by-hop headers (RFC 9110 section 7.6.1), and what would speak in another's name. */
const neverPass = [
  'authorization',
  'proxy-authorization',
  'x-api-key',
  'cookie',
  'set-cookie',
  'www-authenticate',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'content-encoding',
  'accept-encoding',
  'origin',
  'referer',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'via',
  'range',
  'if-none-match',
  'server',
  'location',
  'access-control-allow-origin',
  'x-opallama-metadata-team',
  'x-opallama-decision-id',
  'x-anything',
  // Those of the caller's that are well-formed are handed over beside its headers.
  'traceparent',
  'tracestate',
];
const poisoned = Object.fromEntries(neverPass.map((name) => [name, 'secret']));

test('to the upstream go the listed headers, its own host, the request id and the length of the judged bytes', () => {
  const listed = {
    'content-type': 'application/json',
    accept: '*/*',
    'user-agent': 'ollama/1',
    'anthropic-version': '1',
    'anthropic-beta': 'b',
    'openai-beta': 'o',
  };
  const headers = buildRequestHeaders(
    { ...poisoned, ...listed, host: 'evil.test', 'content-length': '999', 'x-request-id': 'the-callers' },
    { ...options, length: 10 },
  );
  assert.deepEqual(headers, {
    ...listed,
    'x-request-id': 'r-1',
    via: '1.1 us',
    'content-length': 10,
  });
});

test('a request without a body has no length, whatever the caller said', () => {
  assert.deepEqual(buildRequestHeaders({ ...poisoned, 'content-length': '5' }, options), {
    'x-request-id': 'r-1',
    via: '1.1 us',
  });
});

test('a policy may add, replace and remove headers, but neither host nor length', () => {
  const headers = buildRequestHeaders(
    { 'user-agent': 'x', accept: 'a' },
    {
      ...options,
      trace: { traceparent: 't', tracestate: 's=1' },
      length: 5,
      set: { 'x-team': 'a', accept: 'b', via: '1.1 nobody' },
      remove: ['traceparent', 'host', 'via', 'content-length', 'user-agent', 'not-there'],
    },
  );
  assert.deepEqual(headers, {
    tracestate: 's=1',
    accept: 'b',
    'x-request-id': 'r-1',
    'x-team': 'a',
    via: '1.1 us',
    'content-length': 5,
  });
});

test('to the client go the listed headers only', () => {
  const listed = {
    'content-type': 'application/x-ndjson',
    'content-length': '12',
    'cache-control': 'no-store',
    date: 'Thu, 01 Jan 1970 00:00:00 GMT',
    allow: 'POST',
    'retry-after': '3',
  };
  assert.deepEqual(buildAnswerHeaders({ ...listed, cookie: 'x' }, false), listed);
  assert.deepEqual(buildAnswerHeaders(joinRepeated({ ...poisoned, 'set-cookie': ['a=b', 'c=d'] }), false), {});
});

test('of a header that is repeated the first counts, but for lists', () => {
  assert.deepEqual(
    joinRepeated({
      'content-type': ['a/b', 'c/d'],
      'cache-control': ['no-store', 'private'],
      allow: ['GET', 'PUT'],
      x: 'y',
    }),
    { 'content-type': 'a/b', 'cache-control': 'no-store, private', allow: 'GET, PUT', x: 'y' },
  );
});

test('an answer that is shortened on its way has no length', () => {
  assert.deepEqual(buildAnswerHeaders({ 'content-length': '12', 'content-type': 'text/event-stream' }, true), {
    'content-type': 'text/event-stream',
  });
});
