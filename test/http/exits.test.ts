/**
 * Walks every way out of a request and counts the audit events: exactly one for each, with the outcome, the status and the
 * code that belong to it, and no socket left behind.
 */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import net from 'node:net';
import { after, before, it as define, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { AuditEvent } from '../../src/types.ts';
import { patient } from '../support/at-best.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { portOf } from '../support/port-of.ts';

// Times are short here: what a held up process spoils is carried out anew.
const it = patient(define);

/** A policy with a way into each outcome, chosen by the model that is asked for. */
const policy = {
  'authz.rego': `package ollama.authz

default allow := false

allow if not refused

refused if input.model in {"denied", "undefined", "malformed", "obligation"}

# METADATA
# custom:
#   code: not_this_one
deny contains {"code": "not_this_one", "message": "This model is denied."} if input.model == "denied"

obligations := {"unheard_of": true} if input.model == "obligation"

http_status := "teapot" if input.model == "malformed"

# Two values for one rule: an error when it is evaluated.
http_status := 401 if input.model == "failing"

http_status := 402 if input.model == "failing"
`,
};

/** What the stand-in upstream does, by the model that is asked for. */
const behaviours: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>> = {
  whole(_request, response) {
    response.setHeader('content-type', 'application/x-ndjson');
    response.write('{"message":{"content":"hi"},"done":false}\n');
    response.end('{"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":4}\n');
  },
  body(_request, response) {
    const body = '{"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":4}';
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
  },
  missing(_request, response) {
    response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"model not found"}');
  },
  errorline(_request, response) {
    response.setHeader('content-type', 'application/x-ndjson');
    response.end('{"done":false}\n{"error":"it broke"}\n');
  },
  hidden(_request, response) {
    response.setHeader('content-type', 'application/x-ndjson');
    response.end('{"message":{"content":"hi"},"done":false}\n');
  },
  reset: (request) => request.socket.destroy(),
  garbage: (request) => request.socket.end('this is not HTTP\r\n\r\n'),
  silent: () => {},
  dies(request, response) {
    response.setHeader('content-type', 'application/x-ndjson');
    response.write('{"message":{"content":"hi"},"done":false}\n');
    setTimeout(() => request.socket.destroy(), 30);
  },
  diesgathered(request, response) {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 }).write('{"done"');
    setTimeout(() => request.socket.destroy(), 30);
  },
  pauses(_request, response) {
    response.setHeader('content-type', 'application/x-ndjson');
    response.write('{"message":{"content":"hi"},"done":false}\n');
  },
};

const upstreamSockets = new Set<net.Socket>();

async function startUpstream(): Promise<Server> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => {
      const model = /"model":"(\w+)"/.exec(body)?.[1] ?? 'missing';
      behaviours[model]?.(request, response);
    });
  });
  server.on('connection', (socket) => {
    upstreamSockets.add(socket);
    socket.on('close', () => upstreamSockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

describe('every exit of a request', () => {
  let upstream: Server;
  let sidecar: TestSidecar;
  let token: string;

  before(async () => {
    upstream = await startUpstream();
    sidecar = await startTestSidecar({
      upstream: `http://127.0.0.1:${portOf(upstream)}`,
      policy,
      timeouts: { firstByte: 150, idle: 150, headers: 1000, body: 150 },
      limits: { body: 2000, bodiesTotal: 64_000 },
    });
    token = sidecar.token();
  });
  after(async () => {
    await sidecar.close();
    upstream.closeAllConnections();
    upstream.close();
  });

  /** Sends bytes; closes, or destroys, its side after `leaveAfterMs`; gives what came until the other side closed. */
  function exchange(
    bytes: string,
    options: { readonly leaveAfterMs?: number; readonly half?: boolean } = {},
  ): Promise<string> {
    return new Promise((resolve) => {
      const socket = net.connect(sidecar.port, '127.0.0.1');
      let received = '';
      const done = () => {
        clearTimeout(timer);
        socket.destroy();
        resolve(received);
      };
      const timer = setTimeout(() => (options.half === true ? socket.end() : done()), options.leaveAfterMs ?? 30_000);
      socket.setEncoding('latin1');
      socket.on('data', (chunk: string) => {
        received += chunk;
      });
      socket.on('error', done);
      socket.on('close', done);
      socket.write(bytes);
    });
  }

  function post(
    body: string,
    options: {
      readonly headers?: string;
      readonly path?: string;
      readonly length?: number;
      readonly auth?: string;
    } = {},
  ): string {
    return [
      `POST ${options.path ?? '/api/chat'} HTTP/1.1`,
      'Host: 127.0.0.1',
      `Authorization: ${options.auth ?? `Bearer ${token}`}`,
      'Connection: close',
      ...(options.headers === undefined ? [] : [options.headers]),
      `Content-Length: ${options.length ?? Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n');
  }

  const chat = (model: string, more = ''): string =>
    post(`{"model":"${model}","messages":[{"role":"user","content":"hi"}]${more}}`);
  const get = (target: string, headers = ''): string =>
    `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n${headers}Connection: close\r\n\r\n`;

  interface Exit {
    readonly name: string;
    readonly send: () => string;
    readonly leaveAfterMs?: number;
    readonly half?: boolean;
    readonly event: Partial<AuditEvent>;
    /** What the caller must have got. */
    readonly answer?: RegExp;
  }

  const exits: readonly Exit[] = [
    // HTTP itself
    {
      name: 'bytes that are not HTTP',
      send: () => '\u0016\u0003\u0001\r\n\r\n',
      event: { outcome: 'denied', status: 400, error: 'malformed_http' },
      answer: /^HTTP\/1.1 400 /,
    },
    {
      name: 'a head that is too large',
      send: () => get('/', `X: ${'x'.repeat(20_000)}\r\n`),
      event: { status: 431, error: 'headers_too_large' },
    },
    {
      name: 'two lengths',
      send: () => post('{}', { headers: 'Content-Length: 3' }),
      event: { status: 400, error: 'malformed_http' },
    },
    {
      name: 'a length and chunks',
      send: () => post('{}', { headers: 'Transfer-Encoding: chunked' }),
      event: { status: 400, error: 'malformed_http' },
    },
    {
      name: 'a chunk that is none, in the middle of the body',
      send: () =>
        post('', { headers: 'Transfer-Encoding: chunked' }).replace(
          /Content-Length: 0\r\n\r\n/,
          '\r\n5\r\n{"mod\r\nzz\r\n',
        ),
      event: { status: 400, error: 'malformed_http' },
      answer: /^HTTP\/1.1 400 /,
    },
    {
      name: 'a head that never ends',
      send: () => 'GET / HTTP/1.1\r\nHost: x\r\n',
      event: { status: 408, error: 'request_timeout' },
    },
    {
      name: 'CONNECT',
      send: () => 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n',
      event: { status: 405, error: 'method_not_allowed', method: 'CONNECT' },
      answer: /^HTTP\/1.1 405 /,
    },
    {
      name: 'no Host',
      send: () => 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n',
      event: { status: 400, error: 'invalid_host' },
    },
    { name: 'two Hosts', send: () => get('/', 'Host: other\r\n'), event: { status: 400, error: 'invalid_host' } },
    {
      name: 'an upgrade',
      send: () => get('/', 'Upgrade: websocket\r\n').replace('Connection: close', 'Connection: close, Upgrade'),
      event: { status: 400, error: 'upgrade_refused' },
    },
    {
      name: 'another expectation',
      send: () => get('/', 'Expect: the-best\r\n'),
      event: { status: 417, error: 'expectation_failed' },
    },
    {
      name: 'an encoded body',
      send: () => post('{}', { headers: 'Content-Encoding: gzip' }),
      event: { status: 415, error: 'unsupported_encoding' },
    },
    {
      name: 'another charset',
      send: () => post('{}', { headers: 'Content-Type: application/json; charset=utf-16' }),
      event: { status: 415, error: 'unsupported_charset' },
    },
    {
      name: 'a browser',
      send: () => get('/', 'Origin: http://evil.example\r\n'),
      event: { status: 403, error: 'forbidden_origin' },
    },
    { name: 'an odd path', send: () => get('//api/chat'), event: { status: 400, error: 'invalid_target' } },
    {
      name: 'an absolute target',
      send: () => get('http://evil.example/'),
      event: { status: 400, error: 'invalid_target' },
    },
    {
      name: 'a target that no parser takes',
      send: () => get('http://['),
      event: { status: 400, error: 'invalid_target' },
    },
    {
      name: 'an asterisk',
      send: () => get('*').replace('GET', 'OPTIONS'),
      event: { status: 400, error: 'invalid_target' },
    },
    // Who calls
    {
      name: 'no credential',
      send: () => get('/').replace(/Authorization.*\r\n/, ''),
      event: { status: 401, error: 'missing_credentials', outcome: 'denied' },
      answer: /www-authenticate: Bearer/i,
    },
    {
      name: 'a bad credential',
      send: () => post('{}', { auth: 'Bearer a.b.c' }),
      event: { status: 401, error: 'invalid_credentials' },
    },
    {
      name: 'two credentials',
      send: () => get('/', 'X-Api-Key: other\r\n'),
      event: { status: 401, error: 'conflicting_credentials' },
    },
    // What is asked
    {
      name: 'an unknown route',
      send: () => get('/api/pulls'),
      event: { status: 404, error: 'unknown_route', principal: 'alice' },
    },
    {
      name: 'another method',
      send: () => get('/api/chat'),
      event: { status: 405, error: 'method_not_allowed' },
      answer: /allow: POST/i,
    },
    {
      name: 'a body where none belongs',
      send: () => post('{}', { path: '/api/tags' }).replace('POST', 'GET'),
      event: { status: 400, error: 'body_not_allowed' },
    },
    {
      name: 'a body that is announced too large',
      send: () => post('{}', { length: 5000 }),
      event: { status: 413, error: 'body_too_large' },
      answer: /^HTTP\/1.1 413 /,
    },
    {
      name: 'a body that grows too large',
      send: () =>
        post('', { headers: 'Transfer-Encoding: chunked' }).replace(
          /Content-Length: 0\r\n\r\n/,
          `\r\n${(2001).toString(16)}\r\n${'x'.repeat(2001)}\r\n0\r\n\r\n`,
        ),
      event: { status: 413, error: 'body_too_large' },
    },
    {
      name: 'a body that never comes',
      send: () => post('{', { length: 100 }),
      event: { status: 408, error: 'request_timeout' },
      answer: /^HTTP\/1.1 408 /,
    },
    {
      name: 'a client that leaves in the middle of its body',
      send: () => post('{', { length: 100 }),
      leaveAfterMs: 50,
      event: { outcome: 'aborted', status: 499, error: 'client_closed_request' },
    },
    { name: 'no body', send: () => post(''), event: { status: 400, error: 'missing_body' } },
    { name: 'no JSON', send: () => post('{"model":'), event: { status: 400, error: 'invalid_json' } },
    {
      name: 'two models',
      send: () => post('{"model":"whole","model":"denied"}'),
      event: { status: 400, error: 'duplicate_member' },
    },
    {
      name: 'no model',
      send: () => post('{"messages":[]}'),
      event: { status: 400, error: 'missing_model', outcome: 'denied', policy_result: 'none' },
    },
    // Policy
    {
      name: 'a denial',
      send: () => chat('denied'),
      event: { outcome: 'denied', status: 403, policy_result: 'deny', reasons: ['not_this_one'] },
      answer: /x-opallama-reason: not_this_one[\s\S]*This model is denied/,
    },
    {
      name: 'a rule that does not allow',
      send: () => chat('undefined'),
      event: { outcome: 'denied', status: 403, reasons: ['policy_denied'] },
    },
    {
      name: 'a malformed decision',
      send: () => chat('malformed'),
      event: { outcome: 'denied', status: 403, reasons: ['policy_malformed'] },
    },
    {
      name: 'an obligation that nobody knows',
      send: () => chat('obligation'),
      event: { outcome: 'denied', status: 403, policy_result: 'deny' },
    },
    {
      name: 'a policy that fails',
      send: () => chat('failing'),
      event: { outcome: 'error', status: 500, policy_result: 'error', reasons: ['policy_error'] },
      answer: /^HTTP\/1.1 500 /,
    },
    { name: 'a request behind one whose policy failed', send: () => chat('whole'), event: { outcome: 'complete' } },
    // The upstream
    {
      name: 'a stream',
      send: () => chat('whole'),
      event: {
        outcome: 'complete',
        status: 200,
        policy_result: 'allow',
        usage: 'known',
        input_tokens: 3,
        output_tokens: 4,
        finish_reason: 'stop',
      },
      answer: /\r\n0\r\n\r\n$/,
    },
    {
      name: 'a body',
      send: () => chat('body', ',"stream":false'),
      event: { outcome: 'complete', status: 200, input_tokens: 3, output_tokens: 4 },
    },
    {
      name: 'a model that is not there',
      send: () => chat('missing'),
      event: { outcome: 'complete', status: 404, usage: 'none' },
      answer: /model not found/,
    },
    {
      name: 'an error in the stream',
      send: () => chat('errorline'),
      event: { outcome: 'error', status: 200, usage: 'unknown' },
    },
    {
      name: 'an end without a final frame',
      send: () => chat('hidden'),
      event: { outcome: 'incomplete', status: 200, usage: 'unknown' },
    },
    {
      name: 'a reset before the answer',
      send: () => chat('reset'),
      event: { outcome: 'error', status: 502, error: 'upstream_reset' },
    },
    {
      name: 'an answer that is not HTTP',
      send: () => chat('garbage'),
      event: { outcome: 'error', status: 502, error: 'upstream_invalid' },
    },
    {
      name: 'no answer in time',
      send: () => chat('silent'),
      event: { outcome: 'error', status: 504, error: 'upstream_timeout' },
      answer: /^HTTP\/1.1 504 /,
    },
    {
      name: 'a death midway',
      send: () => chat('dies'),
      event: { outcome: 'incomplete', status: 200, error: 'upstream_died' },
      answer: /"error":"Ollama stopped in the middle[^\n]*\n\r\n$/,
    },
    {
      name: 'a death before all of a gathered answer',
      send: () => chat('diesgathered', ',"stream":false'),
      event: { outcome: 'error', status: 502, error: 'upstream_died' },
      answer: /^HTTP\/1.1 502 /,
    },
    {
      name: 'a pause that is too long',
      send: () => chat('pauses'),
      event: { outcome: 'incomplete', status: 200, error: 'upstream_idle' },
    },
    {
      name: 'a client that leaves before the answer',
      send: () => chat('silent'),
      leaveAfterMs: 50,
      event: { outcome: 'aborted', status: 499, error: 'client_closed_request', policy_result: 'allow' },
    },
    {
      name: 'a client that leaves midway',
      send: () => chat('pauses'),
      leaveAfterMs: 50,
      event: { outcome: 'aborted', status: 200, error: 'client_closed_request' },
    },
    {
      name: 'a client that closes its side midway',
      send: () => chat('pauses'),
      leaveAfterMs: 50,
      half: true,
      event: { outcome: 'aborted', status: 200, error: 'client_closed_request' },
    },
  ];

  for (const exit of exits) {
    it(exit.name, async () => {
      const before = sidecar.events.length;
      const received = await exchange(exit.send(), {
        ...(exit.leaveAfterMs !== undefined && { leaveAfterMs: exit.leaveAfterMs }),
        ...(exit.half === true && { half: true }),
      });
      await sidecar.waitForEvents(before + 1);
      // A second event would come in the same moment or when sockets close behind it.
      await sleep(20);
      const events = sidecar.events.slice(before);
      assert.equal(events.length, 1, `${events.length} events: ${JSON.stringify(events)}\n${received}`);
      for (const [name, value] of Object.entries(exit.event)) {
        assert.deepEqual(
          Reflect.get(events[0] ?? {}, name),
          value,
          `${name} in ${JSON.stringify(events[0])}\n${received}`,
        );
      }
      if (exit.answer !== undefined) assert.match(received, exit.answer);
    });
  }

  it('two requests on one connection, and a broken third', async () => {
    const before = sidecar.events.length;
    const keep = chat('whole').replace('Connection: close\r\n', '');
    await exchange(keep + keep, { leaveAfterMs: 300 });
    const received = await exchange(`${keep}BROKEN\u0000\r\n\r\n`, { leaveAfterMs: 300 });
    await sidecar.waitForEvents(before + 4);
    await sleep(20);
    const outcomes = sidecar.events.slice(before).map(({ outcome, error }) => [outcome, error]);
    assert.deepEqual(outcomes, [
      ['complete', undefined],
      ['complete', undefined],
      ['denied', 'malformed_http'],
      ['complete', undefined],
    ]);
    // In the order in which they were asked, whatever the order in which they were known.
    assert.deepEqual(received.match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 400']);
  });

  it('leaves no socket, no request in flight, and as many counted requests as events', async () => {
    const deadline = Date.now() + 30_000;
    let metrics = '';
    do {
      metrics = await sidecar.metrics();
    } while ((!metrics.includes('opallama_requests_in_flight 0') || upstreamSockets.size > 4) && Date.now() < deadline);
    assert.match(metrics, /^opallama_requests_in_flight 0$/m);
    const counted = [...metrics.matchAll(/^opallama_requests_total\{.*\} (\d+)$/gm)].reduce(
      (sum, [, count]) => sum + Number(count),
      0,
    );
    assert.equal(counted, sidecar.events.length);
    // What is left to the upstream is idle: each of its answers came whole.
    assert.ok(upstreamSockets.size <= 4, `${upstreamSockets.size} sockets to the upstream`);
  });
});

describe('a sidecar at its limits', () => {
  it('answers 503 past the requests in flight, once recorded each', async (t) => {
    const upstream = await startUpstream();
    const sidecar = await startTestSidecar({
      upstream: `http://127.0.0.1:${portOf(upstream)}`,
      policy,
      limits: { inFlight: 1 },
    });
    t.after(async () => {
      await sidecar.close();
      upstream.closeAllConnections();
      upstream.close();
    });
    const ask = (model: string, signal?: AbortSignal) =>
      fetch(`${sidecar.url}/api/chat`, {
        method: 'POST',
        headers: { authorization: `Bearer ${sidecar.token()}` },
        body: JSON.stringify({ model }),
        ...(signal && { signal }),
      });
    const leave = new AbortController();
    const held = await ask('pauses', leave.signal);
    const refused = await ask('whole');
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get('x-opallama-reason'), 'overloaded');
    leave.abort();
    await held.body?.cancel().catch(() => undefined);
    await sidecar.waitForEvents(2);
    assert.deepEqual(
      sidecar.events.map(({ outcome }) => outcome),
      ['error', 'aborted'],
    );
  });

  it('ends a request when its whole time is over, before or within the answer', async (t) => {
    const upstream = await startUpstream();
    const sidecar = await startTestSidecar({
      upstream: `http://127.0.0.1:${portOf(upstream)}`,
      policy,
      timeouts: { total: 100 },
    });
    t.after(async () => {
      await sidecar.close();
      upstream.closeAllConnections();
      upstream.close();
    });
    const ask = (model: string) =>
      fetch(`${sidecar.url}/api/chat`, {
        method: 'POST',
        headers: { authorization: `Bearer ${sidecar.token()}` },
        body: JSON.stringify({ model }),
      });
    assert.equal((await ask('silent')).status, 504);
    const cut = await ask('pauses');
    assert.equal(cut.status, 200);
    await assert.rejects(cut.text());
    assert.equal((await ask('whole')).status, 200);
    await sidecar.waitForEvents(3);
    assert.deepEqual(
      sidecar.events.map(({ outcome, error }) => [outcome, error]),
      [
        ['error', 'total_timeout'],
        ['incomplete', 'total_timeout'],
        ['complete', undefined],
      ],
    );
  });

  it('names the upstream that it cannot reach', async (t) => {
    const sidecar = await startTestSidecar({ upstream: 'http://127.0.0.1:9', policy });
    t.after(() => sidecar.close());
    const answer = await fetch(`${sidecar.url}/ollama/api/version`, {
      headers: { authorization: `Bearer ${sidecar.token()}` },
    });
    assert.equal(answer.status, 502);
    assert.deepEqual(await answer.json(), { error: 'Cannot reach Ollama at http://127.0.0.1:9. Is it running?' });
    await sidecar.waitForEvents(1);
    assert.deepEqual(
      sidecar.events.map(({ outcome, error, target }) => [outcome, error, target]),
      [['error', 'upstream_unreachable', 'http://127.0.0.1:9']],
    );
  });
});
