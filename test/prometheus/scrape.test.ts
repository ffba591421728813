/**
 * A real Prometheus scrapes the sidecar while it works: every expression of the rules, the alerts and the dashboard is parsed
 * there and finds data, and its exemplars lead back to the requests.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { Agent, request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { dashboardQueries } from '../../scripts/dashboard-panels.ts';
import { makeDirectory } from '../policy/directory.ts';
import { adminToken, callAdmin } from '../support/admin.ts';
import { issue, issueAuthority } from '../support/certificates.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { listenTlsOf } from '../support/tls.ts';
import { readRules } from './rules.ts';
import { type PrometheusServer, startPrometheus } from './server.ts';

const rulesFile = fileURLToPath(new URL('../../k8s/monitoring/rules.yaml', import.meta.url));
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';

const policy = (version: number): Record<string, string> => ({
  'authz.rego': `package ollama.authz

default allow := false

version := ${version}

allow if input.model != "secret"

# METADATA
# custom:
#   code: secret_model
deny contains {"code": "secret_model", "message": "no"} if input.model == "secret"
`,
});

/** A stand-in for Ollama, which does what the model's name says. */
async function startUpstream(t: TestContext): Promise<string> {
  const server = createServer((incoming, response) => {
    let body = '';
    incoming.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    incoming.on('end', () => {
      if (incoming.url === '/api/tags') return void response.end('{"models":[{"name":"tiny:latest"}]}');
      if (body.includes('"dies"')) return void incoming.socket.destroy();
      response.setHeader('content-type', 'application/x-ndjson');
      response.write('{"message":{"content":"a"},"done":false}\n');
      const rest = '{"done":true,"done_reason":"stop","prompt_eval_count":9,"eval_count":20}\n';
      setTimeout(() => response.end(rest), body.includes('"slow"') ? 1500 : 20);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address !== 'string');
  return `http://127.0.0.1:${address.port}`;
}

async function start(t: TestContext): Promise<{ readonly sidecar: TestSidecar; readonly ca: string }> {
  const authority = issueAuthority('test');
  const own = issue({ name: { CN: 'sidecar' }, issuer: authority, ips: ['127.0.0.1'] });
  // They are looked at again while the sidecar runs.
  const folder = await makeDirectory(t, { cert: own.cert, key: own.key });
  const sidecar = await startTestSidecar({
    upstream: await startUpstream(t),
    policy: policy(1),
    policyConfig: { rollout: { percent: 50 } },
    shadow: { files: { 'authz.rego': 'package ollama.authz\n\nallow := input.model != "tiny"\n' } },
    tls: listenTlsOf({ own }, { files: { cert: join(folder, 'cert'), key: join(folder, 'key'), ca: undefined } }),
    limits: { inFlight: 3 },
    adminTokens: { oncall: adminToken },
  });
  t.after(() => sidecar.close());
  // A revision for a share of the callers, beside the one that decides.
  sidecar.writePolicy(policy(2));
  const reloaded = await callAdmin(sidecar, '/v1/policies/policy/reload', { method: 'POST' });
  assert.equal(reloaded.body['result'], 'loaded');
  return { sidecar, ca: authority.cert };
}

/** Requests of every kind, for so long. */
async function work({ sidecar, ca }: Awaited<ReturnType<typeof start>>, ms: number): Promise<void> {
  const agent = new Agent({ ca, keepAlive: true });
  const chat = (model: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const sent = request(`${sidecar.url}/api/chat`, {
        agent,
        method: 'POST',
        headers: { authorization: `Bearer ${sidecar.token()}`, traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
      });
      sent.on('error', reject).on('response', (answer) => answer.resume().on('close', resolve));
      sent.end(JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }));
    });
  for (const until = Date.now() + ms; Date.now() < until; await sleep(100)) {
    for (const model of ['tiny', 'secret', 'dies']) await chat(model);
    await Promise.all(['slow', 'slow', 'slow', 'tiny', 'tiny'].map(chat));
    await callAdmin(sidecar, '/v1/status', { headers: { authorization: 'Bearer nobody' } });
    const plain = connect(sidecar.port, '127.0.0.1', () => plain.end('GET / HTTP/1.1\r\n\r\n'));
    plain.on('error', () => undefined).resume();
  }
  agent.destroy();
}

/** Asks again while rules are evaluated for the first times. */
async function waitForData(prometheus: PrometheusServer, expr: string): Promise<readonly unknown[]> {
  for (const until = Date.now() + 60_000; ; await sleep(500)) {
    const found = await prometheus.query(expr);
    if (found.length > 0 || Date.now() > until) return found;
  }
}

test('a Prometheus that scrapes the sidecar finds data for every expression, and exemplars', async (t) => {
  const running = await start(t);
  const prometheus = await startPrometheus(new URL(running.sidecar.opsUrl).host, rulesFile);
  t.after(() => prometheus.close());
  await waitForData(prometheus, 'opallama_build_info');
  await work(running, 6000);

  await t.test('the scrapes are whole, and in the format that has exemplars', async () => {
    const askTargets = async () => JSON.stringify(await prometheus.get('targets?state=active'));
    const isUp = /"lastError":"","lastScrape".*"health":"up"/;
    // A scrape may take a second, which a busy machine may not have at times.
    let targets = '';
    for (const until = Date.now() + 30_000; !isUp.test(targets) && Date.now() < until; await sleep(200))
      targets = await askTargets();
    assert.match(targets, isUp);
    const askExemplars = async () =>
      JSON.stringify(
        await prometheus.get(
          `query_exemplars?query=${encodeURIComponent('{__name__=~"opallama_.+|gen_ai_.+"}')}&start=${Date.now() / 1000 - 120}&end=${Date.now() / 1000}`,
        ),
      );
    const metrics = [
      'opallama_overhead_seconds_bucket',
      'opallama_decisions_total',
      'gen_ai_client_token_usage_bucket',
    ];
    const missing = () => metrics.filter((metric) => !found.includes(`"__name__":"${metric}"`));
    let found = '';
    for (const until = Date.now() + 30_000; missing().length > 0 && Date.now() < until; await sleep(200))
      found = await askExemplars();
    assert.deepEqual(missing(), []);
    const ids = [...found.matchAll(/"request_id":"([^"]+)"/g)].map(([, id]) => id);
    assert.ok(ids.length > 5);
    const known = new Set(running.sidecar.events.map(({ request_id }) => request_id));
    assert.ok(
      ids.every((id) => id !== undefined && known.has(id)),
      'each is a request that was',
    );
    assert.ok(found.includes(`"trace_id":"${traceId}"`));
  });

  for (const rule of readRules()) {
    if ('record' in rule) {
      await t.test(`${rule.record} is recorded`, async () => {
        assert.ok((await waitForData(prometheus, rule.record)).length > 0);
      });
      continue;
    }
    await t.test(`${rule.alert} looks at data`, async () => {
      // With bool a comparison says 0 or 1 of all that it looks at, in the place of leaving out what is well.
      const shown = rule.expr.replace(/ (>|<|==) (?=[\d.])/g, ' $1 bool ');
      assert.notEqual(shown, rule.expr);
      // Nothing is kept from an earlier run here: what the alert looks at is there under the other origin.
      const expr = shown.replace('origin="kept"', 'origin="configured"');
      assert.ok((await waitForData(prometheus, expr)).length > 0, expr);
    });
  }

  for (const asked of new Set(dashboardQueries)) {
    const expr = asked
      .replaceAll('"$job"', '"opallama"')
      .replaceAll('"$instance"', '".+"')
      .replaceAll('$__rate_interval', '1m')
      .replaceAll('$__range', '1h');
    await t.test(`the dashboard finds ${expr}`, async () => {
      assert.doesNotMatch(expr, /\$/);
      assert.ok((await waitForData(prometheus, expr)).length > 0);
    });
  }
});
