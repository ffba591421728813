/** A shadow beside the policy that decides: a real sidecar, a real compiler, threads where the shadow has its own. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BundleConfig, ShadowConfig } from '../../src/configured/policy.ts';
import { packBundle } from '../../src/policy/write-bundle.ts';
import { startAnsweringUpstream } from '../support/answering-upstream.ts';
import { undisturbed } from '../support/at-best.ts';
import { startBundleServer } from '../support/bundle-server.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';

const head = 'package ollama.authz\n\ndefault allow := false\n\n';
const adminToken = 'a-token-that-only-this-test-knows';
const deciding = { 'authz.rego': `${head}allow if input.model == "tiny"\n` };

test('what a shadow would decide otherwise is counted and told, and decides nothing', async (t) => {
  const sidecar = await start(t, {
    'authz.rego': `${head}allow if input.model in {"big", "both"}\n\ndeny contains {"code": "too_small", "message": "no"} if input.model == "tiny"\n`,
  });
  assert.deepEqual(await ask(sidecar, 'tiny'), 200);
  assert.deepEqual(await ask(sidecar, 'big'), 403);
  assert.deepEqual(await ask(sidecar, 'other'), 403);
  const counts = await waitForResults(sidecar, 3);
  assert.deepEqual(counts, { newly_denied: 1, newly_allowed: 1, agree: 1 });

  const [denied, allowed, ...more] = sidecar.shadowEvents;
  assert.equal(more.length, 0);
  const event = (await sidecar.waitForEvents(3))[0];
  assert.equal(denied?.disagreement, 'newly_denied');
  assert.deepEqual([denied?.policy_result, denied?.shadow_result], ['allow', 'deny']);
  assert.deepEqual([denied?.reasons, denied?.shadow_reasons], [[], ['too_small']]);
  assert.deepEqual([denied?.decision_id, denied?.revision], [event?.decision_id, event?.revision]);
  assert.notEqual(denied?.shadow_revision, denied?.revision);
  assert.deepEqual(JSON.parse(JSON.stringify(denied?.input)), JSON.parse(JSON.stringify(event?.input)));
  assert.deepEqual([allowed?.disagreement, allowed?.model, allowed?.principal], ['newly_allowed', 'big', 'alice']);
});

test('a shadow that reads content is given it, and neither its line nor the audit event has any', async (t) => {
  const sidecar = await start(t, {
    'authz.rego': `${head}allow if input.model == "tiny"\n\ndeny contains message.content if some message in input.messages\n`,
  });
  assert.equal(await ask(sidecar, 'tiny', 'a-secret-of-mine'), 200);
  assert.deepEqual(await waitForResults(sidecar, 1), { newly_denied: 1 });
  const [line] = sidecar.shadowEvents;
  assert.deepEqual(line?.shadow_reasons, ['policy_denied']);
  const [event] = await sidecar.waitForEvents(1);
  assert.equal(event?.input?.['erased'], undefined, 'the policy that decides was not given it');
  for (const told of [line, event, await sidecar.metrics()])
    assert.doesNotMatch(JSON.stringify(told), /a-secret-of-mine/);
});

test('where a shadow reads agent_role, a caller whom the sidecar would then refuse is newly denied', async (t) => {
  const sidecar = await start(t, { 'authz.rego': `${head}allow if input.agent_role\n` });
  assert.equal(await ask(sidecar, 'tiny', 'x', ['a', 'b']), 200);
  assert.deepEqual(await waitForResults(sidecar, 1), { newly_denied: 1 });
  assert.deepEqual(sidecar.shadowEvents[0]?.shadow_reasons, ['ambiguous_agent_role']);
});

test('a shadow that never ends holds up nobody: the answer is there before it is given up', async (t) =>
  undisturbed(200, async () => {
    const endless = `${head}allow if count({n | some m in numbers.range(1, 100000); some n in numbers.range(1, m)}) == 0\n`;
    const sidecar = await start(t, { 'authz.rego': endless }, { deadline: 3000 });
    const started = performance.now();
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(sidecar, 'tiny')));
    assert.deepEqual([...new Set(answers)], [200]);
    assert.deepEqual(await readResults(sidecar), {}, 'the shadow is still at it');
    assert.ok(performance.now() - started < 3000);
    const counts = await waitForResults(sidecar, 5);
    assert.deepEqual(counts, { error: 5 });
  }));

test('a shadow that is broken keeps nothing from starting, is told of, and is taken up once it is whole', async (t) => {
  const sidecar = await start(t, { 'authz.rego': `${head}allow if {\n` }, {}, /shadow: the change of \S+ was refused/);
  const verbose = async () => (await fetch(`${sidecar.opsUrl}/readyz?verbose`)).text();
  assert.match(await verbose(), /^ready\n(.*\n)*shadow: not loaded, a shadow that decides nothing\n/);
  assert.match(await verbose(), /^ {2}authz\.rego:\d+: rego_parse_error/m);
  assert.equal(await ask(sidecar, 'tiny'), 200);
  assert.deepEqual(await waitForResults(sidecar, 1), { dropped: 1 });
  sidecar.writeShadow(deciding);
  await waitForState(sidecar, /shadow: revision/);
  assert.doesNotMatch(await verbose(), /refused/);
  assert.equal(await ask(sidecar, 'tiny'), 200);
  assert.deepEqual(await waitForResults(sidecar, 2), { dropped: 1, agree: 1 });
  // A change for the worse leaves the one before.
  sidecar.writeShadow({ 'authz.rego': 'package elsewhere\n' });
  await waitForState(sidecar, /refused/);
  assert.equal(await ask(sidecar, 'tiny'), 200);
  assert.deepEqual(await waitForResults(sidecar, 3), { dropped: 1, agree: 2 });
});

test('a shadow comes from a bundle server too, and one that is away at the start is waited for', async (t) => {
  const server = await startBundleServer();
  t.after(() => server.close());
  const stateDir = mkdtempSync(join(tmpdir(), 'opallama-shadow-'));
  t.after(() => rmSync(stateDir, { recursive: true, maxRetries: 10 }));
  const bundle: BundleConfig = {
    url: new URL(server.url),
    poll: 50,
    longPoll: 0,
    timeout: 30_000,
    size: 1 << 20,
    token: undefined,
    tokenSource: undefined,
    tls: undefined,
  };
  const path = join(stateDir, 'shadow.download.tar.gz');
  // Interpreted, so that nothing is compiled: what is tested here is how it comes.
  const sidecar = await start(t, {}, { path, stateDir, bundle, engine: 'topdown' }, /shadow: the change of .* refused/);
  const serve = async (model: string): Promise<void> => {
    const rego = `package ollama.authz\nallow if input.model == "${model}"\n`;
    const manifest = JSON.stringify({ revision: model, roots: [''] });
    const files = { 'authz.rego': rego, '.manifest': manifest };
    server.serve(await packBundle(new Map(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)]))));
    await waitForState(sidecar, new RegExp(`shadow: revision ${model}`));
  };
  await serve('tiny');
  assert.equal(await ask(sidecar, 'tiny'), 200);
  assert.deepEqual(await waitForResults(sidecar, 1), { agree: 1 });
  await serve('big');
  assert.equal(await ask(sidecar, 'tiny'), 200);
  assert.deepEqual(await waitForResults(sidecar, 2), { agree: 1, newly_denied: 1 });
});

test('operators are told of the shadow by the admin API, and that there is none where there is none', async (t) => {
  const sidecar = await start(t, { 'authz.rego': `${head}allow if input.model == "big"\n` });
  const read = async (of: TestSidecar) => {
    const answer = await fetch(`${of.adminUrl}/v1/shadow`, { headers: { authorization: `Bearer ${adminToken}` } });
    const document: Record<string, unknown> = JSON.parse(await answer.text());
    return { status: answer.status, document };
  };
  assert.equal(await ask(sidecar, 'tiny'), 200);
  await waitForResults(sidecar, 1);
  const { status, document } = await read(sidecar);
  assert.equal(status, 200);
  const { name, engine, sample, results, disagreements } = document;
  assert.deepEqual({ name, engine, sample }, { name: 'shadow', engine: 'wasm', sample: 1 });
  assert.equal(Reflect.get(Object(results), 'newly_denied'), 1);
  assert.deepEqual(disagreements, JSON.parse(JSON.stringify(sidecar.shadowEvents)));
  const without = await startTestSidecar({ upstream: sidecar.url, adminTokens: { oncall: adminToken } });
  t.after(() => without.close());
  assert.equal((await read(without)).status, 404);
});

test('a shadow is sampled', async (t) => {
  const sidecar = await start(t, deciding, { sample: 0 });
  for (let asked = 0; asked < 5; asked += 1) assert.equal(await ask(sidecar, 'tiny'), 200);
  await sleep(100);
  assert.deepEqual(await readResults(sidecar), {});
});

async function start(
  t: TestContext,
  files: Readonly<Record<string, string>>,
  config: Partial<ShadowConfig> = {},
  until = /shadow: revision/,
): Promise<TestSidecar> {
  const upstream = await startAnsweringUpstream(t);
  const sidecar = await startTestSidecar({
    upstream,
    policy: deciding,
    shadow: { files, config },
    adminTokens: { oncall: adminToken },
  });
  t.after(() => sidecar.close());
  await waitForState(sidecar, until);
  return sidecar;
}

async function ask(sidecar: TestSidecar, model: string, content = 'x', roles = ['developer']): Promise<number> {
  const answer = await fetch(`${sidecar.url}/api/chat`, {
    method: 'POST',
    headers: { authorization: `Bearer ${sidecar.token({ roles })}` },
    body: JSON.stringify({ model, stream: false, messages: [{ role: 'user', content }] }),
  });
  await answer.arrayBuffer();
  return answer.status;
}

async function waitForState(sidecar: TestSidecar, pattern: RegExp): Promise<void> {
  let text = '';
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(50)) {
    text = await (await fetch(`${sidecar.opsUrl}/readyz?verbose`)).text();
    if (pattern.test(text)) return;
  }
  assert.fail(`${pattern} was not seen in\n${text}`);
}

async function readResults(sidecar: TestSidecar): Promise<Readonly<Record<string, number>>> {
  const lines = (await sidecar.metrics()).matchAll(
    /^opallama_shadow_decisions_total\{shadow="shadow",result="(\w+)"\} (\d+)$/gm,
  );
  return Object.fromEntries([...lines].map(([, result, count]) => [result, Number(count)]));
}

/** Waits until so many requests have a result, at most 30 s. */
async function waitForResults(sidecar: TestSidecar, total: number): Promise<Readonly<Record<string, number>>> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(20)) {
    const results = await readResults(sidecar);
    if (Object.values(results).reduce((sum, count) => sum + count, 0) >= total) return results;
  }
  return readResults(sidecar);
}
