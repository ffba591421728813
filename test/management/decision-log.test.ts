/** Decisions to a decision log service: what is sent, when, and what becomes of what can't be. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { DecisionLogConfig } from '../../src/configured/management.ts';
import { createDecisionLog, type DecisionLog } from '../../src/management/decision-log.ts';
import type { LogRules } from '../../src/management/mask.ts';
import type { AuditEvent } from '../../src/types.ts';
import { undisturbed } from '../support/at-best.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane.ts';
import { decide, logsTo, serviceAt, startManaged } from './managed.ts';

test('a decision is sent in the format of OPA, without what was asked', async (t) => {
  const { plane, sidecar } = await startManaged(t, (service) => ({ decisionLogs: logsTo(service) }));
  // Refused before a policy was asked, so it is no decision.
  await (await fetch(`${sidecar.url}/api/tags`)).arrayBuffer();
  const secret = 'the prompt that nobody may read';
  const id = await decide(sidecar, { model: 'tiny', messages: [{ role: 'user', content: secret }] });
  await plane.until(() => plane.events().length > 0);
  const [upload] = plane.uploads;
  assert.equal(upload?.path, '/logs');
  assert.equal(upload?.headers['content-encoding'], 'gzip');
  assert.equal(upload?.headers['content-type'], 'application/json');
  assert.equal(upload?.headers.authorization, 'Bearer let-me-in');
  assert.equal(plane.events().length, 1);
  const event = plane.events()[0] ?? {};
  assert.equal(event['decision_id'], id);
  assert.deepEqual(Object.keys(Object(event['labels'])), ['id', 'version', 'region']);
  assert.equal(event['path'], 'ollama/authz');
  assert.deepEqual(event['bundles'], { policy: { revision: sidecar.events.at(-1)?.revision } });
  assert.deepEqual(event['result'], { allowed: false, reasons: ['not_alice'] });
  assert.equal(event['requested_by'], '127.0.0.1');
  assert.match(String(event['timestamp']), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.equal(Object(event['input'])['model'], 'tiny');
  assert.equal(Object(event['input'])['principal'].id, 'bob');
  assert.equal(Object(event['input'])['erased'], undefined);
  assert.ok(Number(Object(event['metrics'])['timer_rego_query_eval_ns']) > 0);
  assert.equal(Object(event['custom'])['outcome'], 'denied');
  assert.ok(!JSON.stringify(event).includes(secret));
  assert.match(await sidecar.metrics(), /decision_log_events_total\{result="uploaded"\} 1/);
});

test('content that the policy read is named and not sent', async (t) => {
  const { plane, add } = await startLog(t);
  add({ input: { model: 'tiny', erased: ['messages', 'tools'] } });
  await plane.until(() => plane.events().length > 0);
  assert.deepEqual(plane.events()[0]?.['input'], { model: 'tiny' });
  assert.deepEqual(plane.events()[0]?.['erased'], ['/input/messages', '/input/tools']);
});

test('a failed evaluation says with which code it denied', async (t) => {
  const { plane, add } = await startLog(t);
  add({ policy_result: 'error', reasons: ['policy_deadline'] });
  await plane.until(() => plane.events().length > 0);
  assert.equal(Object(plane.events()[0]?.['error'])['code'], 'policy_deadline');
});

test('an upload is never larger than it may be, and nothing is lost or sent twice for it', async (t) => {
  const { plane, add, idsSent } = await startLog(t, { uploadSize: 1500 });
  const ids = Array.from({ length: 300 }, () => add({ model: crypto.randomUUID(), input: { x: crypto.randomUUID() } }));
  await plane.until(() => plane.events().length >= ids.length);
  assert.ok(plane.uploads.length > 5, `${plane.uploads.length}`);
  for (const { bytes } of plane.uploads) assert.ok(bytes.length <= 1500, `${bytes.length}`);
  assert.deepEqual(idsSent(), ids);
});

test('a full upload does not wait for its time', async (t) => {
  const { plane, add } = await startLog(t, { uploadSize: 1500, minDelay: 60_000, maxDelay: 60_000 });
  for (let sent = 0; sent < 300; sent += 1) add({ input: { x: crypto.randomUUID() } });
  await plane.until(() => plane.events().length > 100);
});

test('an event that alone is larger than an upload is dropped and counted', async (t) => {
  const { plane, add, results } = await startLog(t, { uploadSize: 100 });
  add();
  await plane.until(() => results['too_large'] === 1);
  assert.equal(plane.uploads.length, 0);
});

test('while the service fails decisions wait, and the oldest of too many are dropped and counted', async (t) => {
  const { plane, log, add, idsSent, results, errors } = await startLog(t, { bufferEvents: 5 });
  let isAway = true;
  plane.intercept = (_, response) => {
    if (isAway) response.writeHead(500).end();
    return isAway;
  };
  const ids = [add(), add(), add()];
  await plane.until(() => errors.length > 0);
  for (let sent = 0; sent < 9; sent += 1) ids.push(add());
  await plane.until(() => results['buffer_full'] === 7);
  assert.equal(log.waiting(), 5);
  isAway = false;
  // The service has them before its answer is read here.
  await plane.until(() => results['uploaded'] === 5);
  assert.equal(log.waiting(), 0);
  assert.equal(new Set(idsSent()).size, 5);
  assert.ok(idsSent().includes(ids.at(-1)));
});

test('a service that fails is asked ever less often', (t) =>
  undisturbed(10, async () => {
    // No jitter, and the first upload soon.
    t.mock.method(Math, 'random', () => 0);
    const { plane, add } = await startLog(t, { maxDelay: 60_000, minDelay: 20 });
    const times: number[] = [];
    plane.intercept = (_, response) => {
      times.push(performance.now());
      response.writeHead(503).end();
      return true;
    };
    add();
    await plane.until(() => times.length === 6);
    const [first = 0, second = 0] = times;
    const [before = 0, last = 0] = times.slice(-2);
    assert.ok(last - before > 2 * (second - first), `${times}`);
  }));

test('a batch that the service does not want is given up after three attempts, and counted', async (t) => {
  const { plane, add, idsSent, results } = await startLog(t);
  let refusals = 0;
  plane.intercept = (_, response) => {
    if (refusals === 3) return false;
    refusals += 1;
    response.writeHead(400).end();
    return true;
  };
  add();
  await plane.until(() => results['refused'] === 1);
  const id = add();
  await plane.until(() => plane.events().length > 0);
  assert.deepEqual(idsSent(), [id]);
});

test('a redirect is not followed: the token and the decisions are for nobody else', async (t) => {
  const { plane, add, errors } = await startLog(t);
  plane.intercept = (_, response) => {
    response.writeHead(307, { location: `${plane.url}/logs/elsewhere` }).end();
    return true;
  };
  add();
  await plane.until(() => errors.length > 0);
  assert.ok(plane.requests.every(({ url }) => url === '/v1/policy/logs'));
});

test('what is left when the sidecar ends is sent first', async (t) => {
  const { plane, log, add, idsSent } = await startLog(t, { minDelay: 60_000, maxDelay: 60_000 });
  const ids = [add(), add()];
  await log.close();
  assert.deepEqual(idsSent(), ids);
  assert.equal(plane.uploads.length, 1);
});

test('a service that is away does not keep the sidecar from ending, and what is lost is counted', (t) =>
  undisturbed(200, async () => {
    const { plane, log, add, results } = await startLog(t, { shutdown: 300 });
    // Takes connections and says nothing.
    plane.intercept = () => true;
    add();
    const before = performance.now();
    await log.close();
    assert.ok(performance.now() - before < 2000);
    assert.equal(results['lost'], 1);
  }));

test('what can not be masked is not sent but counted', async (t) => {
  const broken: LogRules = {
    drop: undefined,
    mask: async () => {
      throw new Error('broken');
    },
  };
  const rules: Array<readonly LogRules[] | undefined> = [[broken], undefined, []];
  const { plane, add, idsSent, results } = await startLog(t, {}, () => rules.shift());
  const ids = [add(), add(), add()];
  await plane.until(() => plane.events().length > 0);
  assert.deepEqual(idsSent(), ids.slice(2));
  assert.equal(results['mask_failed'], 2);
});

test('switched off it gathers nothing, and what waited is counted as lost', async (t) => {
  const { plane, log, add, results } = await startLog(t, { minDelay: 60_000, maxDelay: 60_000 });
  add();
  log.configure(undefined);
  add();
  assert.equal(results['lost'], 1);
  assert.equal(log.waiting(), 0);
  log.configure(logsTo(serviceAt(plane.url)));
  add();
  await plane.until(() => plane.events().length === 1);
});

test('a buffer that is made smaller loses the oldest and counts them', async (t) => {
  const { plane, log, add, idsSent, results } = await startLog(t, { minDelay: 60_000, maxDelay: 60_000 });
  const ids = [add(), add(), add()];
  log.configure(logsTo(serviceAt(plane.url), { bufferEvents: 1 }));
  assert.equal(results['buffer_full'], 2);
  await plane.until(() => plane.events().length === 1);
  assert.deepEqual(idsSent(), ids.slice(2));
});

interface TestLog {
  readonly plane: ControlPlane;
  readonly log: DecisionLog;
  readonly results: Record<string, number>;
  readonly errors: unknown[];
  /** A decision. @returns its id */
  add(over?: Partial<AuditEvent>): string;
  idsSent(): readonly unknown[];
}

async function startLog(
  t: TestContext,
  over: Partial<DecisionLogConfig> = {},
  rules: () => readonly LogRules[] | undefined = () => [],
): Promise<TestLog> {
  const plane = await startControlPlane();
  t.after(() => plane.close());
  const results: Record<string, number> = {};
  const errors: unknown[] = [];
  const log = createDecisionLog({
    context: () => ({ labels: { id: 'x' }, policies: [{ bundle: 'authz', entrypoint: 'ollama/authz' }] }),
    rules,
    onEvents: (result, count) => {
      results[result] = (results[result] ?? 0) + count;
    },
    onUpload: (error) => {
      if (error !== undefined) errors.push(error);
    },
    onMaskError: () => {},
  });
  log.configure(logsTo(serviceAt(plane.url), { shutdown: 500, ...over }));
  t.after(() => log.close());
  return {
    plane,
    log,
    results,
    errors,
    add(changed) {
      const event = makeEvent(changed);
      log.observe(event, {
        durationS: 0.1,
        firstByteS: undefined,
        decisionS: 0.0001,
        reasonLabel: '',
        overheadS: undefined,
      });
      return event.decision_id ?? '';
    },
    idsSent: () => plane.events().map((event) => event['decision_id']),
  };
}

function makeEvent(over: Partial<AuditEvent> = {}): AuditEvent {
  return {
    time: '2026-01-01T00:00:00.000Z',
    request_id: 'r',
    decision_id: crypto.randomUUID(),
    api: 'ollama',
    operation: 'chat',
    method: 'POST',
    policy_result: 'allow',
    reasons: [],
    engine: 'wasm',
    revision: 'r1',
    status: 200,
    usage: 'none',
    duration_ms: 1,
    outcome: 'complete',
    tool_name: 'ollama-api',
    mcp_server: 'ollama-proxy',
    action: 'POST',
    provider: 'ollama',
    input: { model: 'tiny' },
    ...over,
  };
}
