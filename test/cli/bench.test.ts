/** `opallama bench`: what it prints can be compared, and what can't run says why. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { z } from 'zod';

import { sampleInputs } from '../../src/cli/sample-inputs.ts';
import { engineNames } from '../../src/decision/engines/table.ts';
import { readInputSchema } from '../../src/policy/input-schema.ts';
import { makeDirectory } from '../policy/directory.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { opallama } from './command.ts';

const skip = noModule;

const report = z.object({
  inputs: z.number(),
  engines: z.array(
    z.discriminatedUnion('runs', [
      z.object({
        runs: z.literal(true),
        engine: z.string(),
        decisions: z.number().positive(),
        decisions_per_s: z.number().positive(),
        p50_us: z.number().positive(),
        p99_us: z.number().positive(),
        ready_ms: z.number().positive(),
        verdicts: z.array(z.string()),
      }),
      z.object({ runs: z.literal(false), engine: z.string(), reason: z.string().min(1) }),
    ]),
  ),
});

async function bench(...args: readonly string[]) {
  const { code, stdout, stderr } = await opallama(['bench', ...args, '--format', 'json']);
  assert.notEqual(stdout, '', stderr);
  return { code, ...report.parse(JSON.parse(stdout)) };
}

test('every engine is measured or says why it is not, and those that run Rego decide alike', { skip }, async () => {
  const { code, inputs, engines } = await bench('policies', '--duration', '400ms');
  assert.equal(code, 0);
  assert.equal(inputs, sampleInputs.length);
  assert.deepEqual(
    engines.map(({ engine }) => engine),
    engineNames,
  );
  const ran = engines.filter((each) => each.runs);
  assert.ok(ran.some(({ engine }) => engine === 'wasm'));
  const expected = ['allow', 'allow', 'allow', 'allow', 'allow', 'deny 403 cloud_model_not_allowed'];
  for (const { verdicts, p50_us: p50, p99_us: p99 } of ran) {
    assert.deepEqual(verdicts, expected);
    assert.ok(p50 <= p99);
  }
  const opa = engines.find(({ engine }) => engine === 'opa');
  assert.ok(opa !== undefined && !opa.runs);
  assert.match(opa.reason, /policy\.opa/);
});

test('the inputs may be given, and a policy that fails on them says so', { skip }, async (t) => {
  const directory = await makeDirectory(t, {
    'a.rego': 'package a\n\nallow if input.model == "tiny"\n\nallow := false if input.method == "GET"\n',
    'one.json': '{"model": "tiny"}',
    'lines.jsonl': '{"model": "tiny"}\n{"model": "other"}\n',
    'clash.json': '{"model": "tiny", "method": "GET"}',
  });
  const options = ['--entrypoint', 'a', '--duration', '50ms', '--engine', 'wasm'];
  const one = await bench(directory, '--input', join(directory, 'one.json'), ...options);
  assert.partialDeepStrictEqual(one.engines, [{ runs: true, verdicts: ['allow'] }]);
  const lines = await bench(directory, '--input', join(directory, 'lines.jsonl'), ...options);
  assert.equal(lines.inputs, 2);
  assert.partialDeepStrictEqual(lines.engines, [{ runs: true, verdicts: ['allow', 'deny 403 policy_undefined'] }]);
  const clash = await bench(directory, '--input', join(directory, 'clash.json'), ...options);
  assert.equal(clash.engines[0]?.runs, false);
  assert.equal(clash.code, 1);
});

test('people get a table, and reasons below it', { skip }, async () => {
  const { stdout } = await opallama(['bench', 'policies', '--duration', '50ms']);
  assert.match(stdout, /^engine +decisions\/s +p50 +p99 +ready +place$/m);
  assert.match(stdout, /^wasm +[\d,]+ +[\d.]+ µs +[\d.]+ µs +[\d,]+ ms +inline$/m);
  assert.match(stdout, /^opa can't run this policy: /m);
});

test('a wrong call ends with 2', async () => {
  for (const args of [
    ['policies', '--engine', 'nobody'],
    ['policies', '--duration', '1'],
    ['policies', '--input', 'no-such-file'],
    ['no-such-policy'],
  ])
    assert.equal((await opallama(['bench', ...args])).code, 2, args.join(' '));
});

test('the samples are inputs as the sidecar builds them', async () => {
  const schema = z
    .object({ required: z.array(z.string()), properties: z.record(z.string(), z.unknown()) })
    .parse(await readInputSchema());
  for (const sample of sampleInputs) {
    for (const member of schema.required) assert.ok(member in sample, member);
    for (const member of Object.keys(sample)) assert.ok(member in schema.properties, member);
  }
});
