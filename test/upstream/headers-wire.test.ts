/** The same two lists on the wire, through the whole sidecar. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { test } from 'node:test';
import { startTestSidecar } from '../support/in-process.ts';
import { startStandIn } from './stand-in.ts';

const body = '{"model":"tiny","prompt":"é","stream":false}';
const answered = [
  'HTTP/1.1 200 OK',
  'Content-Type: application/json',
  'Content-Length: 13',
  'Set-Cookie: a=b',
  'Server: ollama',
  'Access-Control-Allow-Origin: *',
  'X-Request-Id: upstreams-own',
  'X-Opallama-Decision-Id: upstreams-own',
  'Keep-Alive: timeout=99',
  'X-Secret: s',
  // The empty line behind the head.
  '',
  '{"done":true}',
].join('\r\n');

test('neither credentials nor hop-by-hop headers cross the sidecar, in either direction', async (t) => {
  const standIn = await startStandIn(t, (socket, received) => {
    if (received.endsWith(Buffer.from(body).toString('latin1'))) socket.write(answered);
  });
  const sidecar = await startTestSidecar({
    upstream: standIn.url,
    policy: { 'a.rego': 'package ollama.authz\n\nallow := true\n' },
  });
  t.after(() => sidecar.close());
  const asking = request(`${sidecar.url}/api/generate?x=1`, {
    method: 'POST',
    agent: false,
    headers: {
      authorization: `Bearer ${sidecar.token()}`,
      'proxy-authorization': 'Basic x',
      cookie: 'a=b',
      'x-forwarded-for': '1.2.3.4',
      forwarded: 'for=1.2.3.4',
      referer: 'http://x.test',
      te: 'trailers',
      'accept-encoding': 'gzip',
      'x-request-id': 'mine-1',
      'x-opallama-metadata-team': 'a',
      'x-other': 'x',
      via: '1.0 fred, 1.1 opallama-of-others',
      'user-agent': 'test',
      'content-length': Buffer.byteLength(body),
    },
  });
  asking.end(body);
  const [answer] = await once(asking, 'response');
  answer.resume();
  await once(answer, 'end');

  const [head = '', sent = ''] = (standIn.received.find((text) => text.startsWith('POST')) ?? '').split('\r\n\r\n');
  const [line, ...headers] = head.split('\r\n');
  assert.equal(line, 'POST /api/generate?x=1 HTTP/1.1');
  const via = headers.map((header) => /^via: (.*)$/i.exec(header)?.[1]).find((value) => value !== undefined);
  assert.match(via ?? '', /^1\.1 opallama-[0-9a-f]{16}$/);
  assert.deepEqual(headers.map((header) => header.toLowerCase()).sort(), [
    'connection: keep-alive',
    `content-length: ${Buffer.byteLength(body)}`,
    `host: ${new URL(standIn.url).host}`,
    'user-agent: test',
    `via: ${via}`,
    'x-request-id: mine-1',
  ]);
  assert.equal(Buffer.from(sent, 'latin1').toString(), body);

  const [{ decision_id } = {}] = await sidecar.waitForEvents(1);
  const { date, connection: _ofThisHop, 'keep-alive': keepAlive, ...rest } = answer.headers;
  assert.ok(date !== undefined);
  assert.doesNotMatch(String(keepAlive), /99/);
  assert.deepEqual(rest, {
    'content-type': 'application/json',
    'content-length': '13',
    'x-request-id': 'mine-1',
    'x-opallama-decision-id': decision_id,
  });
});
