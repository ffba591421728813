/**
 * How long a change of much Rego takes until it decides, and what callers notice of it: 100 files with 20,000 lines, at 200
 * requests a second (`npm run bench:reload`). Prints what it measured; a measurement, no test.
 */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';

const files = 100;
const linesOfFile = 200;
const rounds = Number(process.env['ROUNDS'] ?? 5);

/** Each file has its own rules, all of which decide; a test of the policy runs too. Each round changes every file. */
function makePolicy(round: number): Record<string, string> {
  const policy: Record<string, string> = {
    'authz.rego': [
      'package ollama.authz',
      'default allow := false',
      'allow if count(deny) == 0',
      'deny contains name if {\n  some name\n  some _ in data.rules[name].deny\n}',
      `dynamic_metadata := {"round": ${round}}`,
      '',
    ].join('\n'),
    'authz_test.rego':
      'package ollama.authz_test\nimport data.ollama.authz\ntest_allow if authz.allow with input as {"model": "tiny"}\n',
  };
  for (let file = 0; file < files; file += 1) {
    const lines = [`package rules.r${file}`, '', `# ${round}`, ''];
    for (let rule = 0; lines.length < linesOfFile - 4; rule += 1)
      lines.push(
        `deny contains "m${rule}" if {`,
        `  input.model == "forbidden-${file}-${rule}"`,
        `  not "admin-${rule}" in input.principal.roles`,
        '}',
        '',
      );
    policy[`r${file}.rego`] = `${lines.join('\n')}\n`;
  }
  return policy;
}

const answer = '{"done":true,"prompt_eval_count":1,"eval_count":1}';
const upstream = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length }).end(answer);
}).listen(0, '127.0.0.1');
await once(upstream, 'listening');
const address = upstream.address();
if (typeof address !== 'object' || address === null) throw new Error('not listening');

const policy = makePolicy(0);
console.log(`${Object.keys(policy).length} files, ${Object.values(policy).join('').split('\n').length} lines`);
const begun = performance.now();
const sidecar = await startTestSidecar({ upstream: `http://127.0.0.1:${address.port}`, policy });
console.log(`started in ${Math.round(performance.now() - begun)} ms`);

try {
  // Node compiles what runs often: the first requests are slower than any that come later.
  await load(sidecar, async () => sleep(3000));
  const usual = await load(sidecar, async () => sleep(5000));
  console.log(`usual: ${describe(usual.times)}`);
  const meanwhile: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    const { times, result } = await load(sidecar, async () => {
      await writePolicy(makePolicy(round));
      const written = performance.now();
      while (sidecar.events.at(-1)?.dynamic_metadata?.['round'] !== round) await sleep(10);
      return performance.now() - written;
    });
    console.log(`live ${Math.round(result)} ms after the last write; meanwhile ${describe(times)}`);
    meanwhile.push(...times);
  }
  const ratio = quantile(meanwhile, 0.99) / quantile(usual.times, 0.99);
  console.log(`all meanwhile: ${describe(meanwhile)}, p99 ${ratio.toFixed(1)} times the usual`);
} finally {
  await sidecar.close();
  upstream.close();
}

/** One file after the other, and never in the way of what is measured. */
async function writePolicy(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFile(join(sidecar.policyPath, name), text);
}

async function load<Result>(
  { url, token }: TestSidecar,
  during: () => Promise<Result>,
): Promise<{ readonly times: readonly number[]; readonly result: Result }> {
  const times: number[] = [];
  const authorization = `Bearer ${token()}`;
  const ask = async (): Promise<void> => {
    const from = performance.now();
    const body = '{"model":"tiny","stream":false,"messages":[]}';
    await (await fetch(`${url}/api/chat`, { method: 'POST', headers: { authorization }, body })).arrayBuffer();
    times.push(performance.now() - from);
  };
  const asked: Promise<void>[] = [];
  const timer = setInterval(() => asked.push(ask()), 5);
  const result = await during();
  clearInterval(timer);
  await Promise.all(asked);
  return { times, result };
}

function describe(times: readonly number[]): string {
  const [p50, p99, most] = [0.5, 0.99, 1].map((share) => quantile(times, share).toFixed(1));
  return `p50 ${p50} ms, p99 ${p99} ms, ${most} ms at most, of ${times.length} requests`;
}

function quantile(times: readonly number[], share: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
