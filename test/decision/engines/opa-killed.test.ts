/**
 * A real OPA is killed, started again and stopped for a while, under 200 requests a second through the whole sidecar. Nothing
 * is allowed that OPA did not allow, nothing waits past its deadline, and decisions go on within 2 s of OPA's return.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAnsweringUpstream } from '../../support/answering-upstream.ts';
import { findFreePort } from '../../support/free-port.ts';
import { startTestSidecar } from '../../support/in-process.ts';
import { buildLimitMs, buildOpaCli, noGo } from '../../support/opa-cli.ts';
import { type OpaServer, opaConfig, startOpaServer } from '../../support/opa-server.ts';

before(() => (noGo === false ? buildOpaCli() : undefined), { timeout: buildLimitMs });

const perSecond = 200;
const deadlineMs = 500;
/** A denial is there within so much of the deadline. */
const slackMs = 100;

interface Asked {
  readonly atMs: number;
  readonly tookMs: number;
  readonly status: number;
  readonly model: string;
  readonly reason: string;
  readonly decisionId: string;
}

test('an OPA that is killed and comes back', { skip: noGo, timeout: 120_000 }, async (t) => {
  const bundle = mkdtempSync(join(tmpdir(), 'opallama-opa-'));
  t.after(() => rmSync(bundle, { recursive: true, maxRetries: 10 }));
  writeFileSync(
    join(bundle, 'policy.rego'),
    'package suite\n\ndefault allow := false\n\nallow if input.model == "tiny"\n',
  );
  const port = await findFreePort();
  const start = () => startOpaServer({ bundle, port, args: ['--set', 'decision_logs.console=true'] });
  const servers: OpaServer[] = [await start()];
  t.after(() => Promise.all(servers.map((server) => server.kill())));

  const upstream = await startAnsweringUpstream(t);

  const decisionsMs = new Map<string, number>();
  const sidecar = await startTestSidecar({
    observe: ({ decision_id: id }, { decisionS }) => void decisionsMs.set(String(id), (decisionS ?? 0) * 1000),
    upstream,
    entrypoint: 'suite',
    limits: { inFlight: 1000 },
    policyConfig: {
      engine: 'opa',
      opa: opaConfig({
        url: new URL(`http://127.0.0.1:${port}`),
        timeout: deadlineMs,
        circuitBreaker: { failures: 5, reset: 500 },
      }),
    },
  });
  t.after(() => sidecar.close());

  // Client, sidecar and stand-in share this thread: what stalls it stalls them one after the other.
  const stalls = monitorEventLoopDelay({ resolution: 5 });
  stalls.enable();
  t.after(() => stalls.disable());

  const answers: Asked[] = [];
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const authorization = `Bearer ${sidecar.token()}`;
  const began = performance.now();
  const now = (): number => performance.now() - began;
  const ask = (model: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const atMs = now();
      const headers = { authorization, 'content-type': 'application/json' };
      const sent = request({ port: sidecar.port, path: '/api/chat', method: 'POST', agent, headers });
      sent.on('response', (answer) => {
        const header = (name: string): string => String(answer.headers[name] ?? '');
        answers.push({
          atMs,
          tookMs: now() - atMs,
          status: answer.statusCode ?? 0,
          model,
          reason: header('x-opallama-reason'),
          decisionId: header('x-opallama-decision-id'),
        });
        answer.resume().on('end', resolve);
      });
      sent.on('error', (error: NodeJS.ErrnoException) => {
        // A connection that the sidecar closed in the moment in which it was used again, after a long stall.
        if (sent.reusedSocket && error.code === 'ECONNRESET') resolve(ask(model));
        else reject(error);
      });
      sent.end(JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }], stream: false }));
    });
  const pending: Array<Promise<void>> = [];
  let sent = 0;
  const timer = setInterval(() => {
    // By the clock and not by the tick, so that a busy machine gets no fewer.
    for (; sent < (now() / 1000) * perSecond; sent += 1) pending.push(ask(sent % 4 === 3 ? 'forbidden' : 'tiny'));
  }, 5);
  t.after(() => clearInterval(timer));

  await sleep(1500);
  const killedAt = now();
  await servers[0]?.kill('SIGKILL');
  const goneAt = now();
  await sleep(2000);
  const ready = await fetch(`${sidecar.opsUrl}/readyz`);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /OPA at .* can't be asked/);
  const startedAt = now();
  servers.push(await start());
  const returnedAt = now();
  await sleep(2500);
  const stoppedAt = now();
  servers[1]?.process.kill('SIGSTOP');
  await sleep(1500);
  const goesOnAt = now();
  servers[1]?.process.kill('SIGCONT');
  await sleep(1500);
  clearInterval(timer);
  await Promise.all(pending);

  const between = (from: number, to: number) => answers.filter(({ atMs }) => atMs >= from && atMs < to);
  const allowed = answers.filter(({ status }) => status === 200);
  const firstAfter = (from: number): number => (allowed.find(({ atMs }) => atMs >= from)?.atMs ?? Number.NaN) - from;
  const back = { afterReturn: firstAfter(returnedAt), afterStop: firstAfter(goesOnAt) };
  sidecar.app.tellNow();
  const longest = Math.max(...answers.map(({ tookMs }) => tookMs));
  const stallMs = stalls.max / 1e6;
  const byReason = Object.entries(Object.groupBy(answers, ({ status, reason }) => `${status} ${reason}`.trim()));
  t.diagnostic(
    `${answers.length} requests in ${(now() / 1000).toFixed(1)} s: ${byReason.map(([key, list]) => `${list?.length} × ${key}`).join(', ')}`,
  );
  t.diagnostic(
    `OPA away for ${(returnedAt - killedAt).toFixed(0)} ms (${(returnedAt - startedAt).toFixed(0)} ms to start); allowed again ${back.afterReturn.toFixed(0)} ms after its return, ${back.afterStop.toFixed(0)} ms after it was stopped for 1.5 s; longest answer ${longest.toFixed(0)} ms, deadline ${deadlineMs} ms, longest stall of the thread ${stallMs.toFixed(0)} ms`,
  );

  // Nothing is allowed that OPA did not allow: its own log has each of them.
  const logged = new Map(servers.flatMap((server) => readDecisions(server.log())));
  for (const { decisionId, model } of allowed) {
    assert.equal(model, 'tiny');
    assert.equal(logged.get(decisionId), true, `decision ${decisionId} is not in OPA's log`);
    // By the sidecar's own clock, and the microseconds until it read that again.
    const tookMs = decisionsMs.get(decisionId) ?? Number.NaN;
    assert.ok(tookMs < deadlineMs + 10, `allowed after ${tookMs} ms`);
  }
  assert.ok(allowed.length > 2 * perSecond, `${allowed.length} allowed`);
  assert.deepEqual(
    between(goneAt + 100, startedAt).filter(({ reason }) => reason !== 'engine_unavailable'),
    [],
  );
  // Those that were asked while it stood still wait for their deadline, until the circuit is broken.
  const late = between(stoppedAt + 50, goesOnAt - deadlineMs).filter(({ status }) => status === 200);
  assert.deepEqual(late, []);
  assert.ok(answers.some(({ reason }) => reason === 'policy_deadline'));

  assert.ok(longest < deadlineMs + slackMs + 4 * stallMs, `${longest} ms`);
  const backMs = 2000 + 4 * stallMs;
  assert.ok(back.afterReturn < backMs && back.afterStop < backMs, JSON.stringify(back));
  assert.equal(answers.length, sent);
  assert.ok(answers.every(({ status }) => [200, 403, 503].includes(status)));
});

/** Decision ids of the sidecar in OPA's decision log, and whether OPA allowed. */
function readDecisions(log: string): Array<readonly [string, boolean]> {
  return log.split('\n').flatMap((line) => {
    if (!line.includes('Decision Log')) return [];
    const event: unknown = JSON.parse(line);
    const input = member(event, 'input');
    const allow = member(member(event, 'result'), 'allow');
    return [[String(member(input, 'decision_id')), allow === true] as const];
  });
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
