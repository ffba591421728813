/**
 * What issue 5 promises of isolation, through the whole sidecar: a pattern that backtracks, a comprehension that explodes and
 * 50 MB of data are denied within 100 ms of the deadline, and the event loop's delay stays under 20 ms meanwhile, 99 times
 * of 100. `npm run test:isolation` prints the figures.
 *
 * A machine that is busy with other things delays an idle loop too. That delay is measured beside and allowed for, and of
 * several rounds the best one counts: what a policy holds up it holds up each time, what else the machine does, it does at
 * times.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PolicyConfig } from '../../src/configured/policy.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { undisturbed } from '../support/at-best.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { portOf } from '../support/port-of.ts';

type Histogram = ReturnType<typeof monitorEventLoopDelay>;

const deadlineMs = 300;
const rounds = 3;
/** More of them where the machine spoils some. */
const mostRounds = 10;
const mostLoads = 4;
const mostLateMs = 100;
const mostDelayMs = 20;

test('a pattern that backtracks', async (t) => {
  const path = await writePolicy(t, {
    'authz.mjs': `export function evaluate({ model }) {
      return { allow: model === 'bad' ? /^(a+)+$/.test('a'.repeat(60) + '!') : true };
    }`,
  });
  await attack(t, { path: join(path, 'authz.mjs'), engine: 'module' });
});

test('a comprehension that explodes', { skip: noModule }, async (t) => {
  const path = await writePolicy(t, {
    'authz.rego': `package ollama.authz

allow if input.model != "bad"

allow if {
	input.model == "bad"
	each := numbers.range(1, 5000)
	count([[a, b, c] | some a in each; some b in each; some c in each; a + b == c + 20000]) == 0
}
`,
  });
  await attack(t, { path });
});

test('50 MB of data, while it is read and loaded too', { skip: noModule, timeout: 240_000 }, async (t) => {
  const path = await writePolicy(t, {
    'data.json': makeData(50_000_000),
    'authz.rego': `package ollama.authz

allow if {
	input.model != "bad"
	data.users[input.principal.id].team == "team-1"
}

allow if {
	input.model == "bad"
	count([1 | some a in data.users; some b in data.users; a.limit + b.limit == -1]) == 0
}
`,
  });
  await attack(t, { path });
});

/** Loads the policy, sends what is stuck beside what is not, and asks how long each took and how free the loop was. */
async function attack(t: TestContext, policyConfig: Partial<PolicyConfig>): Promise<void> {
  const upstream = createServer((request, response) => {
    request.resume().on('end', () => response.setHeader('content-type', 'application/json').end('{"done":true}'));
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  t.after(() => upstream.close());
  const port = portOf(upstream);

  const idle = await watchLoop(() => sleep(2000));
  const loadings: Histogram[] = [];
  const load = async (): Promise<TestSidecar> => {
    const { promise, resolve } = Promise.withResolvers<TestSidecar>();
    const start = async (): Promise<void> =>
      resolve(
        await startTestSidecar({
          upstream: `http://127.0.0.1:${port}`,
          policyConfig: { ...policyConfig, deadline: deadlineMs },
          limits: { inFlight: 1000 },
        }),
      );
    loadings.push(await watchLoop(start));
    return promise;
  };
  const began = performance.now();
  const sidecar = await load();
  t.after(() => sidecar.close());
  // Longer than a thread takes: each round waits for the successor, for two at once would leave nobody to answer.
  const loadMs = performance.now() - began;
  const askGood = (): Promise<void> =>
    undisturbed(mostDelayMs, async () => {
      const { status, text } = await ask(sidecar, 'good');
      assert.equal(status, 200, text);
    });
  // The first requests of a process compile its code.
  for (let warm = 0; warm < 100; warm += 1) await askGood();
  const calm = await watchLoop(async () => {
    for (const until = performance.now() + deadlineMs * 3; performance.now() < until; await sleep(20)) await askGood();
  });

  const late: number[] = [];
  const delays: Histogram[] = [];
  const allowed = mostDelayMs + Math.max(p99(idle), p99(calm));
  const isKept = (): boolean => Math.min(...delays.map(p99)) < allowed && Math.min(...late) < mostLateMs;
  let tooSoon = 0;
  while (late.length < rounds || (late.length < mostRounds && !isKept())) {
    await sleep(loadMs * (1 + tooSoon));
    const answered: number[] = [];
    let lateMs = 0;
    const delay = await watchLoop(async () => {
      const bad = ask(sidecar, 'bad');
      while (answered.length < 10 && answered.at(-1) !== 503) {
        answered.push((await ask(sidecar, 'good')).status);
        await sleep(20);
      }
      const { status, text, tookMs } = await bad;
      assert.equal(status, 503);
      assert.match(text, /took too long/);
      lateMs = tookMs - deadlineMs;
      // The thread is ended and its successor started.
      await sleep(200);
    });
    // On a busy machine a successor takes longer than the first threads did, and nobody else was left to answer.
    if (answered.includes(503) && tooSoon < 3) {
      tooSoon += 1;
      continue;
    }
    assert.deepEqual([...new Set(answered)], [200]);
    late.push(lateMs);
    delays.push(delay);
  }
  const counted = `opallama_decisions_total\\{result="error",reason="policy_deadline",[^}]*\\} (\\d+)`;
  assert.ok(Number(new RegExp(counted).exec(await sidecar.metrics())?.[1]) >= late.length);
  // None of the others is needed, so they are away at once.
  while (loadings.length < mostLoads && !(Math.min(...loadings.map(p99)) < allowed)) await (await load()).close();
  t.diagnostic(
    `${t.name}: denied ${late.map((each) => each.toFixed(0)).join(', ')} ms after the deadline; event loop delay p99 ` +
      `${ms(idle)} ms idle, ${loadings.map(ms).join(', ')} ms while the policy was loaded, ${ms(calm)} ms with requests that are not stuck, ` +
      `${delays.map(ms).join(', ')} ms with one that is`,
  );
  assert.ok(Math.min(...loadings.map(p99)) < allowed, `while it was loaded: ${loadings.map(ms).join()} ms`);
  assert.ok(Math.min(...delays.map(p99)) < allowed, `with one that is stuck: ${delays.map(ms).join()} ms`);
  // A timer counts from the beginning of its turn of the loop, so it may be some milliseconds early.
  assert.ok(Math.min(...late) > -50, 'never before the deadline');
  assert.ok(Math.min(...late) < mostLateMs, `${late.join(', ')} ms after the deadline`);
}

async function ask(sidecar: TestSidecar, model: string): Promise<{ status: number; text: string; tookMs: number }> {
  const started = performance.now();
  const response = await fetch(`${sidecar.url}/api/chat`, {
    method: 'POST',
    headers: { authorization: `Bearer ${sidecar.token({ subject: 'user0000001' })}` },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }], stream: false }),
  });
  const text = await response.text();
  return { status: response.status, text, tookMs: performance.now() - started };
}

async function watchLoop(work: () => Promise<unknown>): Promise<Histogram> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  await work();
  histogram.disable();
  return histogram;
}

function p99(histogram: Histogram): number {
  return histogram.percentile(99) / 1e6;
}

function ms(histogram: Histogram): string {
  return p99(histogram).toFixed(1);
}

async function writePolicy(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'opallama-isolation-'));
  t.after(() => rm(directory, { recursive: true, maxRetries: 10 }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  return directory;
}

function makeData(bytes: number): string {
  const users: string[] = [];
  for (let made = 0, length = 0; length < bytes; made += 1) {
    const user = `"user${String(made).padStart(7, '0')}":{"team":"team-${made % 100}","limit":${made},"note":"${'x'.repeat(60)}"}`;
    users.push(user);
    length += user.length + 1;
  }
  return `{"users":{${users.join()}}}`;
}
