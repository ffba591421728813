/** What the log tells of requests: at level debug, and of one request that the policy grants it to. */
import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { pino } from 'pino';

import { makeDirectory } from '../policy/directory.ts';
import { adminToken, callAdmin, codeOf } from '../support/admin.ts';
import { startTestSidecar, type TestSidecarOptions } from '../support/in-process.ts';

const canary = 'CANARY-7c1d';
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;

const rego = `package ollama.authz

default allow := false

allow if not contains(input.messages[0].content, "forbidden")

debug_log if "operator" in input.principal.roles
`;

async function start(t: TestContext, over: Partial<TestSidecarOptions> = {}) {
  const received: IncomingHttpHeaders[] = [];
  const upstream = createServer((request, response) => {
    received.push(request.headers);
    request.resume().on('end', () => {
      response.setHeader('content-type', 'application/x-ndjson');
      response.end(
        `{"message":{"content":"${canary}"},"done":false}\n{"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":4}\n`,
      );
    });
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const address: AddressInfo | string | null = upstream.address();
  const lines: Array<Readonly<Record<string, unknown>>> = [];
  const sidecar = await startTestSidecar({
    upstream: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    policy: { 'authz.rego': rego },
    log: pino({ base: null, level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
    ...over,
  });
  t.after(async () => {
    await sidecar.close();
    upstream.close();
  });
  const chat = async (roles: string[], headers: Readonly<Record<string, string>>, text = canary) => {
    const answer = await fetch(`${sidecar.url}/api/chat`, {
      method: 'POST',
      headers: { authorization: `Bearer ${sidecar.token({ roles })}`, 'user-agent': canary, ...headers },
      body: JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: text }] }),
    });
    await answer.text();
    return answer;
  };
  /** Lines of so many ends: a request ends after its answer was read here. */
  const ended = async (count: number): Promise<void> => {
    const ends = () => lines.filter(({ msg }) => msg === 'the request ended').length;
    for (const deadline = Date.now() + 30_000; ends() < count && Date.now() < deadline; await sleep(5));
  };
  return { ...sidecar, received, lines, chat, ended };
}

const messages = (lines: ReadonlyArray<Readonly<Record<string, unknown>>>) => lines.map(({ msg }) => msg);
const way = [
  'the request was decided',
  'the request was handed to the upstream',
  'the upstream answers',
  'the request ended',
];

test('a request whose caller asks, and may, is told of from its decision to its end, without content', async (t) => {
  const { chat, lines, received, ended } = await start(t);
  const answer = await chat(['operator'], { 'x-opallama-debug': '1', 'x-request-id': 'r-1', traceparent });
  assert.equal(answer.headers.get('x-opallama-debug'), 'granted');
  await ended(1);
  assert.deepEqual(messages(lines), way);
  for (const line of lines) {
    assert.deepEqual([line['request_id'], line['trace_id'], line['granted']], ['r-1', traceId, true]);
  }
  const text = JSON.stringify(lines);
  assert.doesNotMatch(text, new RegExp(canary), 'neither prompt, answer nor values of headers');
  assert.doesNotMatch(text, /eyJ/, 'no token');
  assert.match(text, /"headers":\["content-type","accept"/);
  assert.equal(lines[3]?.['output_tokens'], 4);
  assert.equal(received.at(-1)?.['traceparent'], traceparent);
  assert.equal(received.at(-1)?.['x-opallama-debug'], undefined);
});

test('one that is denied is told of too', async (t) => {
  const { chat, lines, ended } = await start(t);
  const answer = await chat(['operator'], { 'x-opallama-debug': 'true' }, 'forbidden');
  assert.equal(answer.status, 403);
  await ended(1);
  assert.equal(answer.headers.get('x-opallama-debug'), 'granted');
  assert.deepEqual(messages(lines), ['the request was decided', 'the request ended']);
  assert.equal(lines[0]?.['policy_result'], 'deny');
});

test('who asks and may not, or may and does not ask, gets no line', async (t) => {
  const { chat, lines, waitForEvents } = await start(t);
  for (const [roles, headers] of [
    [['developer'], { 'x-opallama-debug': '1' }],
    [['operator'], {}],
    [['operator'], { 'x-opallama-debug': '0' }],
  ] as const) {
    const answer = await chat([...roles], headers);
    assert.equal(answer.headers.get('x-opallama-debug'), null);
  }
  await waitForEvents(3);
  assert.deepEqual(lines, []);
});

test('of several policies one must grant it and none refuse it', async (t) => {
  const allow = 'package ollama.authz\n\nallow := true\n';
  const asked = { 'x-opallama-debug': '1' };
  const silent = await start(t, {
    allOf: { a: { 'a.rego': `${allow}\ndebug_log := true\n` }, b: { 'b.rego': allow } },
  });
  assert.equal((await silent.chat(['developer'], asked)).headers.get('x-opallama-debug'), 'granted');
  const refused = await start(t, {
    allOf: {
      a: { 'a.rego': `${allow}\ndebug_log := true\n` },
      b: { 'b.rego': `${allow}\ndebug_log := false\n` },
    },
  });
  assert.equal((await refused.chat(['developer'], asked)).headers.get('x-opallama-debug'), null);
});

test('operators change the level while the sidecar runs, for a time if they say so, and leave a line', async (t) => {
  const sidecar = await start(t, { adminTokens: { oncall: adminToken } });
  const { chat, lines, ended } = sidecar;
  assert.deepEqual((await callAdmin(sidecar, '/v1/log-level')).body, { level: 'warn', configured: 'warn' });
  const set = await callAdmin(sidecar, '/v1/log-level', {
    send: { level: 'debug', for: '10m' },
    headers: { 'x-request-id': 'op-1' },
  });
  assert.equal(set.headers.get('x-request-id'), 'op-1');
  const { until, ...state } = set.body;
  assert.deepEqual(state, { level: 'debug', configured: 'warn' });
  assert.ok(Math.abs(Date.parse(String(until)) - Date.now() - 600_000) < 60_000);
  assert.deepEqual(
    [lines[0]?.['event'], lines[0]?.['who'], lines[0]?.['request_id'], lines[0]?.['msg']],
    ['admin', 'oncall', 'op-1', 'an operator changed how the sidecar runs'],
  );
  lines.length = 0;
  await chat(['developer'], {});
  await ended(1);
  assert.deepEqual(messages(lines), ['a request began', ...way]);
  await fetch(`${sidecar.url}/api/chat`, { method: 'POST', body: canary, headers: { authorization: canary } });
  await ended(2);
  assert.deepEqual(messages(lines).slice(5), ['a request began', 'the request ended']);
  assert.equal(lines[6]?.['error'], 'invalid_credentials');
  assert.doesNotMatch(JSON.stringify(lines), new RegExp(canary));

  await callAdmin(sidecar, '/v1/log-level', { send: { level: 'warn' } });
  lines.length = 0;
  await chat(['developer'], {});
  assert.deepEqual(lines, []);
});

test('a level that is none, and a time that is none, are refused and change nothing', async (t) => {
  const sidecar = await start(t, { adminTokens: { oncall: adminToken } });
  for (const send of [
    {},
    { level: 'silent' },
    { level: 'loud' },
    { level: 7 },
    { level: 'debug', for: 10 },
    { level: 'debug', for: '0s' },
    { level: 'debug', for: 'soon' },
    { level: 'debug', until: '10m' },
  ]) {
    const answer = await callAdmin(sidecar, '/v1/log-level', { send });
    assert.deepEqual([answer.status, codeOf(answer)], [400, 'invalid_member'], JSON.stringify(send));
  }
  assert.deepEqual((await callAdmin(sidecar, '/v1/log-level')).body, { level: 'warn', configured: 'warn' });
});

test('of what code of the user throws no text is told: it may quote a prompt', async (t) => {
  const folder = await makeDirectory(t, {
    'policy.mjs': `export function evaluate(input) {
  const text = 'bad prompt: ' + input.messages[0].content;
  throw Object.assign(new TypeError(text, { cause: new Error(text) }), { code: 'E_MINE', input });
}
`,
  });
  const path = join(folder, 'policy.mjs');
  const { chat, lines } = await start(t, { policyConfig: { engine: 'module', path } });
  const answer = await chat(['operator'], { 'x-request-id': 'r-9' });
  assert.equal(answer.status, 500);
  const told = lines.find(({ msg }) => msg === 'the policy failed to evaluate');
  assert.equal(told?.['request_id'], 'r-9');
  const text = JSON.stringify(lines);
  assert.doesNotMatch(text, new RegExp(canary));
  assert.match(text, /"note":"its text is left out/);
});
