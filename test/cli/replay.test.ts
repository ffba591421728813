/** `opallama replay` over the audit lines of a real run of the sidecar, and over logs that are torn, mixed and long. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import type { AuditEvent } from '../../src/types.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { startTestSidecar } from '../support/in-process.ts';
import { portOf } from '../support/port-of.ts';
import { opallama } from './command.ts';

const skip = noModule;
const home = mkdtempSync(join(tmpdir(), 'opallama-replay-'));
after(() => rmSync(home, { recursive: true, maxRetries: 10 }));

const head = 'package ollama.authz\n\ndefault allow := false\n\n';
const rules = {
  served: `${head}allow if {\n\tinput.agent_role == "developer"\n\tinput.model != "secret"\n}\n\ndeny contains "secret_model" if input.model == "secret"\n`,
  // No more tiny for alice, and secret for all.
  changed: `${head}allow if input.agent_role == "developer"\n\ndeny contains "not_for_alice" if {\n\tinput.principal.id == "alice"\n\tinput.model == "tiny"\n}\n`,
  reading: `${head}allow if {\n\tevery message in input.messages {\n\t\tnot contains(message.content, "x")\n\t}\n}\n`,
  lateHours: `${head}allow if time.clock(input.now_ns)[0] < 12\n`,
  failing: `${head}allow if x\n\nx := 1 if input.model\n\nx := 2 if input.model\n`,
};
for (const [name, rego] of Object.entries(rules)) {
  mkdirSync(join(home, name));
  writeFileSync(join(home, name, 'authz.rego'), rego);
}

const replay = (...args: readonly string[]) => opallama(['replay', ...args], { cwd: home });
const lineOf = (event: object): string => JSON.stringify({ event: 'audit', ...event });

const answer = '{"done":true,"prompt_eval_count":1,"eval_count":1}';

/** Two callers that ask for two models, one who is not known, and a list; by the policy `served`. */
async function record(): Promise<readonly AuditEvent[]> {
  const upstream = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length }).end(answer);
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const port = portOf(upstream);
  const sidecar = await startTestSidecar({
    upstream: `http://127.0.0.1:${port}`,
    policy: { 'authz.rego': rules.served },
  });
  const ask = async (subject: string | undefined, model: string): Promise<void> => {
    const authorization = subject === undefined ? 'Bearer nobody' : `Bearer ${sidecar.token({ subject })}`;
    const body = JSON.stringify({ model, stream: false, messages: [{ role: 'user', content: 'hello' }] });
    await (await fetch(`${sidecar.url}/api/chat`, { method: 'POST', headers: { authorization }, body })).arrayBuffer();
  };
  for (const subject of ['alice', 'bob', 'alice', undefined])
    for (const model of ['tiny', 'secret']) await ask(subject, model);
  await (await fetch(`${sidecar.url}/api/tags`, { headers: { authorization: `Bearer ${sidecar.token()}` } })).text();
  const events = [...(await sidecar.waitForEvents(9))];
  await sidecar.close();
  upstream.close();
  upstream.closeAllConnections();
  assert.equal(events.length, 9);
  return events;
}

test('what a sidecar recorded is decided alike by its policy, and exactly as expected by another one', {
  skip,
}, async () => {
  writeFileSync(join(home, 'audit.jsonl'), `${(await record()).map(lineOf).join('\n')}\n`);

  const same = await replay('--policy', 'served', 'audit.jsonl');
  assert.equal(same.code, 0, same.stdout + same.stderr);
  assert.match(same.stdout, /^7 decisions: 7 alike$/m);
  assert.match(same.stdout, /^2 requests ended before the policy was asked$/m);

  const changed = await replay('--policy', 'changed', 'audit.jsonl', '--format', 'json');
  assert.equal(changed.code, 1);
  const report = JSON.parse(changed.stdout);
  assert.deepEqual(
    [report.decisions, report.alike, report.newly_denied, report.newly_allowed, report.other_reasons, report.error],
    [7, 1, 2, 4, 0, 0],
  );
  const told = report.changes.map((change: Record<string, unknown>) => [
    change['kind'],
    change['principal'],
    change['model'],
    change['times'],
  ]);
  assert.deepEqual(told.toSorted(), [
    // The list names no model, which the rule of that time asked for.
    ['newly_allowed', 'alice', undefined, 1],
    ['newly_allowed', 'alice', 'secret', 2],
    ['newly_allowed', 'bob', 'secret', 1],
    ['newly_denied', 'alice', 'tiny', 2],
  ]);

  const pretty = await replay('--policy', 'changed', 'audit.jsonl', '--allow-changes');
  assert.equal(pretty.code, 0);
  assert.match(pretty.stdout, /^ {2}alice \(developer\) +chat +tiny +not_for_alice +2 {2}audit\.jsonl:1$/m);
  assert.match(pretty.stdout, /^ {2}bob \(developer\) +chat +secret +secret_model +1 {2}audit\.jsonl:4$/m);

  assert.match(pretty.stdout, /^Newly allowed\n {2}secret_model +3 decisions +of 2 callers about 1 model$/m);
  assert.deepEqual(report.by_rule[0], {
    kind: 'newly_denied',
    rule: 'not_for_alice',
    times: 2,
    principals: 1,
    models: 1,
  });

  const only = await replay('--policy', 'changed', '--principal', 'bob', 'audit.jsonl');
  assert.match(only.stdout, /^2 decisions: 1 alike, 1 newly allowed$/m);
  assert.match(only.stdout, /^5 decisions passed over, as asked$/m);
  assert.match(
    (await replay('--policy', 'changed', '--limit', '1', 'audit.jsonl')).stdout,
    /^1 decision: 0 alike, 1 newly denied$/m,
  );
});

const input = {
  operation: 'chat',
  model: 'tiny',
  agent_role: 'developer',
  principal: { id: 'ann', roles: ['developer'] },
};
const event = (over: object = {}, of: object = {}) =>
  lineOf({
    time: '2026-01-31T08:00:00.000Z',
    policy_result: 'allow',
    reasons: [],
    input: { ...input, now_ns: 1, ...of },
    ...over,
  });

test('lines that are torn or no JSON are told with their numbers, and what is no event is passed over', {
  skip,
}, async () => {
  const lines = [
    event(),
    '{"event":"aud',
    '',
    '{"level":30,"msg":"listening"}',
    'Server started',
    event({ policy_result: 'perhaps' }),
    event({ input: 1 }),
    '\u0000',
  ];
  writeFileSync(
    join(home, 'torn.jsonl'),
    Buffer.concat([
      Buffer.from(`${lines.join('\n')}\n`),
      Buffer.from([0x22, 0xff, 0x22, 0x0a]),
      Buffer.from(event().slice(0, 40)),
    ]),
  );
  const { code, stdout } = await replay('--policy', 'served', 'torn.jsonl');
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^1 decision: 1 alike$/m);
  assert.match(stdout, /^7 lines can't be read:$/m);
  for (const named of [
    'torn.jsonl:2 is not JSON',
    'torn.jsonl:5 is not JSON',
    'torn.jsonl:6 has a policy_result that there is not',
    'torn.jsonl:7 has a decision and no input',
    'torn.jsonl:8 is not JSON',
    'torn.jsonl:9 is too long or no UTF-8',
    'torn.jsonl:10 is cut short',
  ])
    assert.ok(stdout.includes(`  ${named}\n`), `${named}\n${stdout}`);
});

test('what was not recorded and is read makes a decision undecidable, which is no change', { skip }, async () => {
  const log = [
    event({}, { erased: ['messages'], message_count: 1 }),
    event({}, { message_count: 0 }),
    event({ policy_result: 'deny' }, { operation: 'models.list' }),
  ];
  writeFileSync(join(home, 'erased.jsonl'), log.join('\n'));
  const { code, stdout } = await replay('--policy', 'reading', 'erased.jsonl');
  assert.equal(code, 1, stdout);
  assert.match(stdout, /^3 decisions: 0 alike, 1 other reasons, 2 undecidable$/m);
  assert.match(stdout, /^Undecidable: recorded without messages \(2\), which the policy reads\.$/m);

  writeFileSync(
    join(home, 'roles.jsonl'),
    event({}, { agent_role: undefined, principal: { id: 'ann', roles: ['a', 'b'] } }),
  );
  assert.match((await replay('--policy', 'served', 'roles.jsonl')).stdout, /recorded without agent_role \(1\)/);
});

test('rules about hours are replayed at the hour of the request, and time narrows what is replayed', {
  skip,
}, async () => {
  const at = (time: string) => event({ time }, { now_ns: Date.parse(time) * 1e6 });
  writeFileSync(join(home, 'hours.jsonl'), [at('2026-01-31T08:00:00Z'), at('2026-01-31T22:00:00Z')].join('\n'));
  const { stdout } = await replay('--policy', 'lateHours', 'hours.jsonl');
  assert.match(stdout, /^2 decisions: 1 alike, 1 newly denied$/m);
  assert.match(stdout, /hours\.jsonl:2$/m);
  const morning = await replay('--policy', 'lateHours', '--until', '2026-01-31T12:00:00Z', 'hours.jsonl');
  assert.match(morning.stdout, /^1 decision: 1 alike$/m);
  const evening = await replay('--policy', 'lateHours', '--since', '2026-01-31T12:00:00Z', 'hours.jsonl');
  assert.match(evening.stdout, /^1 decision: 0 alike, 1 newly denied$/m);
});

test('a policy that fails is told apart from one that denies, with what failed', { skip }, async () => {
  writeFileSync(join(home, 'one.jsonl'), event());
  const { code, stdout } = await replay('--policy', 'failing', 'one.jsonl');
  assert.equal(code, 1);
  assert.match(stdout, /^1 decision: 0 alike, 1 error$/m);
  assert.match(stdout, /^The first failure, one\.jsonl:1: /m);
});

test('standard input is read, and what callers chose can not command a terminal', { skip }, async () => {
  const evil = event({ policy_result: 'deny', reasons: ['x'] }, { model: 'a\u001b[2J' });
  const { stdout } = await opallama(['replay', '--policy', 'served', '-'], { cwd: home, stdin: `${evil}\n` });
  assert.match(stdout, /^1 decision: 0 alike, 1 newly allowed$/m);
  assert.ok(stdout.includes('a\\u{1b}[2J'), stdout);
  assert.ok(!stdout.includes('\u001b'));
});

test('several policies are replayed together, one of them by another path', { skip }, async () => {
  const policy = {
    all_of: [
      { name: 'base', path: 'served' },
      { name: 'more', path: 'served' },
    ],
  };
  writeFileSync(join(home, 'both.yaml'), JSON.stringify({ policy, identity: { anonymous: { roles: ['guest'] } } }));
  writeFileSync(join(home, 'two.jsonl'), event());
  const args = ['--config', 'both.yaml', 'two.jsonl'];
  assert.match((await replay(...args)).stdout, /^1 decision: 1 alike$/m);
  assert.match((await replay('--policy', 'more=lateHours', ...args)).stdout, /^1 decision: 1 alike$/m);
  const wrong = await replay('--policy', 'lateHours', ...args);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /write --policy name=path, with one of base, more\./);
});

test('a log that holds no decision, or is not there, is a wrong call', { skip }, async () => {
  writeFileSync(join(home, 'empty.jsonl'), '{"level":30}\n');
  const empty = await replay('--policy', 'served', 'empty.jsonl');
  assert.equal(empty.code, 2);
  assert.match(empty.stderr, /^There is no decision in empty\.jsonl\.$/m);
  const none = await replay('--policy', 'served', 'none.jsonl');
  assert.equal(none.code, 2);
  assert.match(none.stderr, /^none\.jsonl can't be read \(ENOENT\)\.$/m);
});

test('a long log, and a line without an end, are never held in memory', { skip }, async () => {
  const file = openSync(join(home, 'long.jsonl'), 'w');
  const filler = Buffer.alloc(1 << 20, 'x');
  writeSync(file, `${event()}\n`);
  for (let written = 0; written < 300; written += 1) writeSync(file, filler);
  writeSync(file, `\n${event()}\n`);
  closeSync(file);
  const { code, stdout, stderr } = await opallama(['replay', '--policy', 'served', 'long.jsonl'], {
    cwd: home,
    env: {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent("process.on('exit',()=>console.error('peak '+process.resourceUsage().maxRSS))")}`,
    },
  });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^2 decisions: 2 alike$/m);
  assert.match(stdout, /^ {2}long\.jsonl:2 is too long or no UTF-8$/m);
  const peaks = [...stderr.matchAll(/^peak (\d+)$/gm)].map(([, kib]) => Number(kib) / 1024);
  assert.ok(peaks.length > 0);
  assert.ok(Math.min(...peaks) < 280, `${peaks} MiB`);
});
