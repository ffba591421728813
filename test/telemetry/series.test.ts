/**
 * A caller makes no series: whatever stands in a hundred thousand requests, there are as many series as before. The events
 * of all of them are counted here; so many requests over sockets take a minute, which is `npm run test:series`.
 */
import assert from 'node:assert/strict';
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';

import { createRecorder } from '../../src/audit/record.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';

const requests = Number(process.env['SERIES_REQUESTS'] ?? 1000);
const atOnce = 16;

/** Each series with its labels, without its value. */
function seriesOf(text: string): readonly string[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.replace(/ # \{.*$/, '').replace(/ [^ ]+$/, ''))
    .sort();
}

/** Names as callers would make them up: new ones, look-alikes of ours, and what a text format could stumble over. */
function randomName(): string {
  const word = randomBytes(6).toString('hex');
  return (
    [`${word}`, `tiny-${word}`, `${word}/tiny`, `other${word}`, `${word}:7b`, `x${word}.y_z`][randomInt(6)] ?? word
  );
}

test('100,000 random models, principals, tenants, codes and ids are counted in the series that were there', async () => {
  const metrics = createMetrics({
    isListedModel: (model) => model === 'tiny',
    revision: () => 'r1',
    inFlight: () => 0,
  });
  let ticks = 0;
  const record = createRecorder({
    observers: [metrics.observe],
    withoutContent: () => ({}),
    now: () => new Date(ticks++),
  });
  const policy = { codes: new Set(['declared']), readsContent: false };
  const count = (number: number): void => {
    const name = randomName();
    const entry = record({ requestId: name, traceId: name, traceSampled: true, api: 'ollama', method: 'POST' });
    const text = `${name}"\n\\`;
    const principal = { id: text, roles: [text], permissions: [text], tenant: text, claims: {}, agentRole: text };
    entry.identified({ ...principal, kind: 'jwt' });
    entry.routed({ api: 'ollama', operation: 'chat', path: '/api/chat' });
    entry.received();
    entry.asked({
      version: 1,
      phase: 'request',
      request_id: name,
      decision_id: name,
      api: 'ollama',
      operation: 'chat',
      method: 'POST',
      path: '/api/chat',
      principal: { id: text, kind: 'jwt', roles: [], permissions: [], claims: {} },
      model: name,
      stream: true,
      client: { ip: text, user_agent: text },
      now_ns: 0,
      mcp_server: 'ollama-proxy',
      tool_name: 'ollama-api',
      action: 'POST',
      resource: name,
      llm_action: 'llm:chat.completions',
    });
    const allowed = number % 2 === 0;
    entry.decided(
      {
        decisionId: name,
        allowed,
        result: allowed ? 'allow' : 'deny',
        reasons: [{ code: name, message: text }],
        httpStatus: allowed ? 200 : 403,
        body: undefined,
        headers: {},
        requestHeadersToRemove: [],
        responseHeadersToAdd: {},
        dynamicMetadata: { [name]: name },
        obligations: {},
        engine: 'wasm',
        revision: 'r1',
        durationNs: 1000,
      },
      policy,
    );
    if (!allowed) {
      entry.finish({ outcome: 'denied', status: 403 });
      return;
    }
    entry.forwarded('http://127.0.0.1:11434', []);
    entry.firstByte();
    entry.finish({
      outcome: 'complete',
      status: 200,
      usage: { inputTokens: number, outputTokens: number },
      finishReason: name,
    });
  };
  for (let number = 0; number < 10; number += 1) count(number);
  const open = 'application/openmetrics-text';
  const before = seriesOf((await metrics.expose(open)).text);
  assert.ok(before.length > 100);
  for (let number = 0; number < 100_000; number += 1) count(number);
  const { text } = await metrics.expose(open);
  assert.deepEqual(seriesOf(text), before);
  assert.match(text, /^opallama_requests_total\{.*\} 50005(?: # .*)?$/m);
});

interface Sent {
  readonly method?: string;
  readonly path?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What the outcome depends on is the same each time; everything else is made up anew. */
const kinds: ReadonlyArray<(sidecar: TestSidecar) => Sent> = [
  () => ({ body: { model: `a${randomName()}`, messages: [], stream: false } }),
  () => ({ body: { model: 'tiny', messages: [], stream: false } }),
  () => ({ body: { model: `b${randomName()}`, messages: [], stream: false } }),
  () => ({ path: '/v1/chat/completions', body: { model: `b${randomName()}`, messages: [] } }),
  () => ({ path: '/api/generate', body: { model: `a${randomName()}`, prompt: randomName(), stream: false } }),
  () => ({ path: `/${randomName().replace(/[:/]/g, '-')}` }),
  () => ({ method: 'PATCH', path: '/api/chat' }),
  () => ({ body: { model: `a${randomName()}`, [`Model`]: randomName() } }),
  () => ({ body: { model: 'tiny' }, headers: { authorization: `Bearer ${randomName()}` } }),
  (sidecar) => ({
    method: 'GET',
    path: '/api/version',
    headers: { authorization: `Bearer ${sidecar.token({ subject: randomName() })}` },
  }),
];

async function start(t: TestContext): Promise<TestSidecar> {
  const upstream = createServer((incoming, response) => {
    incoming.resume().on('end', () => {
      const body =
        incoming.url === '/api/tags' ? '{"models":[{"name":"tiny:latest"}]}' : '{"done":true,"eval_count":4}';
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
    });
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const address: AddressInfo | string | null = upstream.address();
  const sidecar = await startTestSidecar({
    upstream: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    // A code of what the caller says is one that no METADATA declares.
    policy: {
      'authz.rego': `package ollama.authz

default allow := false

allow if not startswith(input.model, "b")

allow if not input.model

deny contains {"code": sprintf("c%s", [trim_left(input.request_id, "-")]), "message": input.model} if startswith(input.model, "b")
`,
    },
  });
  t.after(async () => {
    await sidecar.close();
    upstream.close();
  });
  return sidecar;
}

test(`${requests} requests over sockets leave the number of series as it was`, async (t) => {
  const sidecar = await start(t);
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce });
  t.after(() => agent.destroy());
  const ask = async (number: number): Promise<void> => {
    const kind = kinds[number % kinds.length];
    assert.ok(kind !== undefined);
    const { method = 'POST', path = '/api/chat', body, headers } = kind(sidecar);
    const text = body === undefined ? undefined : JSON.stringify(body);
    const role = randomName();
    await new Promise<void>((resolve, reject) => {
      const sent = request(`${sidecar.url}${path}`, {
        agent,
        method,
        headers: {
          authorization: `Bearer ${sidecar.token({ subject: randomName(), roles: [role] })}`,
          'user-agent': randomName(),
          'x-request-id': randomUUID(),
          traceparent: `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`,
          'x-opallama-metadata-team': randomName(),
          ...(text !== undefined && { 'content-length': String(Buffer.byteLength(text)) }),
          ...headers,
        },
      });
      sent.on('error', reject).on('response', (answer) => answer.resume().on('end', resolve));
      sent.end(text);
    });
  };
  const expose = async (): Promise<string> =>
    (await fetch(`${sidecar.opsUrl}/metrics`, { headers: { accept: 'application/openmetrics-text' } })).text();

  for (let number = 0; number < kinds.length * 2; number += 1) await ask(number);
  const before = seriesOf(await expose());
  let next = 0;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < requests) await ask(next++);
    }),
  );
  const text = await expose();
  assert.deepEqual(seriesOf(text), before);
  const counted = [...text.matchAll(/^opallama_requests_total\{.*?\} (\d+)/gm)].map(([, count]) => Number(count));
  assert.equal(
    counted.reduce((sum, count) => sum + count, 0),
    requests + kinds.length * 2,
  );
  // Every way that this leads: allowed, denied by codes that nobody declared, unknown, refused, not let in.
  const ways = [...text.matchAll(/^opallama_requests_total\{.*operation="(\w+)",status="(\d+)"/gm)];
  assert.deepEqual(ways.map(([, operation, status]) => `${operation} ${status}`).toSorted(), [
    'chat 200',
    'chat 400',
    'chat 403',
    'chat 403',
    'generate 200',
    'other 401',
    'other 404',
    'other 405',
    'version 200',
  ]);
});
