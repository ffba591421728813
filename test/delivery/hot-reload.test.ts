/**
 * Policies are replaced under load: a real compiler, real files, real sockets. `RELOADS` says how often (`npm run
 * test:reload`: 100 times).
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startAnsweringUpstream } from '../support/answering-upstream.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';

const reloads = Number(process.env['RELOADS'] ?? 10);
/** Between two requests, ms: 200 in a second. */
const everyMs = 5;

const withTests = 'package ollama.authz_test\nimport data.ollama.authz\n';

/** A policy that says in each event which one it is. */
function goodPolicy(number: number): Record<string, string> {
  return {
    'authz.rego': `package ollama.authz\ndefault allow := false\nallow if input.model == "tiny"\ndynamic_metadata := {"policy": ${number}}\n`,
    'authz_test.rego': `${withTests}test_allow if authz.allow with input as {"model": "tiny"}\n`,
    'data.json': '{}',
  };
}

/** Each would allow what must not be allowed, if it ever decided. */
const brokenPolicies: readonly Readonly<Record<string, string>>[] = [
  { 'authz.rego': 'package ollama.authz\nallow if {\n' },
  { 'authz.rego': 'package ollama.authz\nallow := true\ndynamic_metadata := {"policy": no_such_thing}\n' },
  { 'authz.rego': 'package elsewhere\nallow := true\n', 'authz_test.rego': 'package elsewhere_test\n' },
  { 'authz_test.rego': `${withTests}test_deny if not authz.allow with input as {"model": "tiny"}\n` },
  { 'data.json': '[1, 2]' },
  {
    'authz.rego':
      'package ollama.authz\nallow := true\ndynamic_metadata := http.send({"url": "http://x", "method": "GET"})\n',
  },
];

test('no request fails and no broken policy decides, however often it is replaced under load', async (t) => {
  const sidecar = await startSidecar(t, goodPolicy(0));
  const load = startLoad(sidecar);
  let [good, refused] = [1, 0];
  for (let number = 1; number <= reloads; number += 1) {
    const broken = number % 2 === 0 ? brokenPolicies[(number / 2) % brokenPolicies.length] : undefined;
    sidecar.writePolicy({ ...goodPolicy(number), ...broken });
    if (broken === undefined) good += 1;
    else refused += 1;
    await waitForReloads(sidecar, { good, refused });
  }
  const answers = await load.stop();
  assert.ok(answers.length > reloads, `${answers.length} requests`);
  assert.deepEqual([...new Set(answers)], [200]);

  const events = await sidecar.waitForEvents(answers.length);
  const revisionOf = new Map<unknown, string | undefined>();
  for (const event of events) {
    const number = event.dynamic_metadata?.['policy'];
    assert.ok(typeof number === 'number' && (number === 0 || number % 2 === 1), `policy ${number} decided`);
    assert.equal(revisionOf.get(number) ?? event.revision, event.revision, 'an event names the policy that decided');
    revisionOf.set(number, event.revision);
  }
  assert.equal(revisionOf.size, good);
  assert.equal(new Set(revisionOf.values()).size, good);
  t.diagnostic(`${answers.length} requests, ${good - 1} policies taken up, ${refused} refused`);
});

test('what was refused is told with its place, and the next good one is taken up', async (t) => {
  const sidecar = await startSidecar(t, goodPolicy(0));
  sidecar.writePolicy({ 'authz.rego': 'package ollama.authz\n\nallow if {\n' });
  await waitForReloads(sidecar, { good: 1, refused: 1 });
  // Not the policy's own text, which is nothing for a port that anybody may ask.
  assert.doesNotMatch(await (await fetch(`${sidecar.opsUrl}/readyz?verbose`)).text(), /allow if/);
  const ready = await fetch(`${sidecar.opsUrl}/readyz`);
  assert.equal(ready.status, 200);
  const verbose = await (await fetch(`${sidecar.opsUrl}/readyz?verbose`)).text();
  assert.match(verbose, /^policy: revision [0-9a-f]{12} decides$/m);
  assert.match(verbose, /^policy: the change of \d{4}-\S+ was refused: .*\n +authz\.rego:\d+: rego_parse_error: /m);
  assert.equal(await ask(sidecar), 200);
  sidecar.writePolicy(goodPolicy(2));
  await waitForReloads(sidecar, { good: 2, refused: 1 });
  assert.doesNotMatch(await (await fetch(`${sidecar.opsUrl}/readyz?verbose`)).text(), /refused/);
  assert.match(
    await sidecar.metrics(),
    /opallama_policy_loaded_revision_info\{revision="[0-9a-f]{12}",origin="configured"\} 1\n(?!opallama_policy_loaded)/,
  );
});

test('of several policies the one that changed is replaced, and each goes on deciding', async (t) => {
  const other = 'package ollama.authz\ndeny contains "no" if input.model == "other"\n';
  const sidecar = await startSidecar(t, undefined, { first: goodPolicy(0), second: { 'authz.rego': other } });
  sidecar.writePolicy(goodPolicy(1));
  await waitForReloads(sidecar, { good: 3, refused: 0 });
  assert.equal(await ask(sidecar), 200);
  const [event] = await sidecar.waitForEvents(1);
  assert.deepEqual(event?.dynamic_metadata, { first: { policy: 1 } });
});

async function startSidecar(
  t: TestContext,
  policy: Readonly<Record<string, string>> | undefined,
  allOf?: Readonly<Record<string, Readonly<Record<string, string>>>>,
): Promise<TestSidecar> {
  const upstream = await startAnsweringUpstream(t);
  const sidecar = await startTestSidecar({
    upstream,
    ...(policy && { policy }),
    ...(allOf && { allOf }),
  });
  t.after(() => sidecar.close());
  return sidecar;
}

async function ask(sidecar: TestSidecar): Promise<number> {
  const answer = await fetch(`${sidecar.url}/api/chat`, {
    method: 'POST',
    headers: { authorization: `Bearer ${sidecar.token()}` },
    body: '{"model":"tiny","stream":false,"messages":[]}',
  });
  await answer.arrayBuffer();
  return answer.status;
}

/** Requests at a steady rate, unless the machine is too slow for it: no more are open at once than the sidecar takes. */
function startLoad(sidecar: TestSidecar): { stop(): Promise<readonly number[]> } {
  const asked: Promise<number>[] = [];
  let open = 0;
  const timer = setInterval(() => {
    if (open === 50) return;
    open += 1;
    asked.push(ask(sidecar).finally(() => (open -= 1)));
  }, everyMs);
  return {
    async stop() {
      clearInterval(timer);
      return Promise.all(asked);
    },
  };
}

/** Waits until so many policies were taken up and refused since the start, the first one included; at most 30 s. */
async function waitForReloads(
  sidecar: TestSidecar,
  { good, refused }: { good: number; refused: number },
): Promise<void> {
  const count = (text: string, result: string): number =>
    Number(new RegExp(`^opallama_policy_reload_total\\{result="${result}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  let seen: readonly number[] = [];
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(50)) {
    const text = await sidecar.metrics();
    seen = [count(text, 'success'), count(text, 'failure')];
    if (seen[0] === good && seen[1] === refused) return;
  }
  assert.deepEqual(seen, [good, refused]);
}
