/** Several policies on the whole way: each must allow, the record names all of them, and one that fails comes back. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { type StandIn, startStandIn } from '../upstream/stand-in.ts';

const body = '{"done":true}';
const answered = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

const company = `package ollama.authz

default allow := false

allow if input.model in {"tiny", "broken", "company-only"}

headers := {"x-company": "1"}

dynamic_metadata := {"asked": input.model}
`;
const team = `package ollama.authz

allow if input.model in {"tiny", "broken", "team-only"}

allow := false if input.model in {"company-only", "neither", "broken"}

headers := {"x-team": "1"}

http_status := 404 if input.model in {"company-only", "neither"}

reasons contains {"code": "ask_your_lead"} if not input.model in {"tiny", "broken"}
`;

let standIn: StandIn;
let sidecar: TestSidecar;
const ends: Array<() => unknown> = [];
before(async () => {
  standIn = await startStandIn({ after: (end) => ends.push(end) }, (socket, received) => {
    if (received.endsWith('"stream":false}')) socket.write(answered);
  });
  sidecar = await startTestSidecar({
    upstream: standIn.url,
    allOf: { company: { 'a.rego': company }, team: { 'a.rego': team } },
  });
});
after(async () => {
  await sidecar.close();
  for (const end of ends) await end();
});

async function ask(model: string) {
  const seen = sidecar.events.length;
  const answer = await fetch(`${sidecar.url}/api/generate`, {
    method: 'POST',
    headers: { authorization: `Bearer ${sidecar.token()}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, prompt: 'x', stream: false }),
  });
  await answer.text();
  const event = (await sidecar.waitForEvents(seen + 1)).at(-1);
  return { status: answer.status, reason: answer.headers.get('x-opallama-reason'), headers: answer.headers, event };
}

test('what both allow is forwarded with the headers of both', async () => {
  const { status, event } = await ask('tiny');
  assert.equal(status, 200);
  assert.equal(event?.policy_result, 'allow');
  assert.equal(event?.engine, 'wasm,wasm');
  assert.match(event?.revision ?? '', /^[0-9a-f]{12},[0-9a-f]{12}$/);
  assert.deepEqual(event?.dynamic_metadata, { company: { asked: 'tiny' } });
  const [head = ''] = (standIn.received.findLast((text) => text.startsWith('POST')) ?? '').split('\r\n\r\n');
  assert.match(head, /\r\nx-company: 1\r\n/i);
  assert.match(head, /\r\nx-team: 1(\r\n|$)/i);
});

test('what only one allows is denied, with the status of the one that denies', async () => {
  const one = await ask('company-only');
  assert.deepEqual([one.status, one.reason, one.headers.get('x-company')], [404, 'ask_your_lead', null]);
  const other = await ask('team-only');
  assert.deepEqual([other.status, other.reason], [403, 'policy_denied']);
});

test('what none allows has the reasons of all', async () => {
  const { status, event } = await ask('neither');
  assert.equal(status, 403);
  assert.deepEqual(event?.reasons, ['policy_denied', 'ask_your_lead']);
});

test('one that fails denies with its own code, and decides again afterwards', async () => {
  for (let round = 0; round < 3; round += 1) {
    const failed = await ask('broken');
    assert.deepEqual([failed.status, failed.reason, failed.event?.policy_result], [500, 'policy_error', 'error']);
    assert.equal((await ask('tiny')).status, 200);
  }
});

test('the metrics count the decision once, under the revisions of both', async () => {
  const text = await (await fetch(`${sidecar.opsUrl}/metrics`)).text();
  assert.match(
    text,
    /opallama_policy_loaded_revision_info\{revision="[0-9a-f]{12},[0-9a-f]{12}",origin="configured"\} 1/,
  );
  assert.match(text, /opallama_decisions_total\{result="error",reason="policy_error",revision="[0-9a-f,]{25}"\} 3/);
});
