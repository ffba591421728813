/** OPA's interpreter in this thread: the built-ins that it has, the end that it puts to an evaluation, and what breaks it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, test } from 'node:test';
import { createTopdownEngine, type TopdownOptions } from '../../../src/decision/engines/topdown.ts';
import { EvaluationError, PolicyError } from '../../../src/errors.ts';
import { createToolchain } from '../../../src/policy/toolchain/toolchain.ts';
import type { LoadedPolicy } from '../../../src/types.ts';
import { noModule } from '../../policy/toolchain-fixture.ts';
import { undisturbed } from '../../support/at-best.ts';
import { policyInput } from '../input.ts';

const skip = noModule;
const toolchain = createToolchain({ path: undefined });
after(() => toolchain.close());

async function load(
  rego: string,
  data: Readonly<Record<string, unknown>> = {},
  options: TopdownOptions = {},
): Promise<LoadedPolicy> {
  const modules = { 'policy.rego': rego };
  const inspection = await toolchain.inspect({ modules, data, entrypoints: ['a'] });
  return createTopdownEngine(options).load({
    revision: 'r1',
    wasm: undefined,
    modules,
    files: new Map(),
    data,
    entrypoints: ['a'],
    reads: { all: inspection.reads.all, members: new Set(inspection.reads.members) },
    shapes: new Map(Object.entries(inspection.shapes)),
    codes: new Set(inspection.codes),
    deterministic: inspection.nondeterministicBuiltins.length === 0,
  });
}

test('built-ins that compiled Rego leaves to others are here', { skip }, async () => {
  const policy = await load(`package a

printed := sprintf("%s has %d of %05.1f %v", [input.model, 3, 2.5, {"b": [1], "a": {2}}])

parts := regex.split("(x+x+)+y", concat("", ["a", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "b"]))

digest := crypto.sha256(input.model)

parsed := yaml.unmarshal("a: [1, {b: c}]")

at := time.parse_rfc3339_ns("2024-02-29T12:00:00Z")

size := units.parse_bytes("4KiB")

same if uuid.rfc4122("x") == uuid.rfc4122("x")

token := io.jwt.decode("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.")[1].sub
`);
  assert.deepEqual(await policy.evaluate('a', policyInput({ model: 'tiny' })), [
    {
      printed: 'tiny has 3 of 002.5 {"a": {2}, "b": [1]}',
      parts: ['axxxxxxxxxxxxxxxxxxxxxxxxxxxxxxb'],
      digest: createHash('sha256').update('tiny').digest('hex'),
      parsed: { a: [1, { b: 'c' }] },
      at: 1_709_208_000_000_000_000,
      size: 4096,
      same: true,
      token: 'a',
    },
  ]);
});

test('sets are lists, keys that are no strings are texts, Unicode is itself', { skip }, async () => {
  const policy = await load('package a\n\ns := {"z", "é😀", "<&>"}\n\no := {1: "one", ["l"]: "list"}\n');
  assert.deepEqual(await policy.evaluate('a', policyInput()), [
    { s: ['<&>', 'z', 'é😀'], o: { 1: 'one', '["l"]': 'list' } },
  ]);
});

for (const call of ['http.send({"method": "get", "url": "http://x.test"})', 'net.lookup_ip_addr("x.test")']) {
  test(`${call} is refused when it is loaded, with its place and what to do`, { skip }, async () => {
    const policy = `package a\n\nallow if {\n\tinput.model == "never"\n\t${call}\n}\n`;
    await assert.rejects(load(policy), (error) => {
      assert.ok(error instanceof PolicyError, String(error));
      const [fault] = error.faults;
      assert.deepEqual([fault?.code, fault?.file, fault?.row], ['unsupported_builtin', 'policy.rego', 5]);
      assert.match(fault?.message ?? '', /there is no network .* use the opa engine/);
      return true;
    });
  });
}

test('a schema that names a remote one fetches nothing', { skip }, async () => {
  const policy = await load(
    'package a\n\nvalid if json.match_schema({}, {"$ref": "http://127.0.0.1:9/schema.json"})[0]\n',
  );
  assert.deepEqual(await policy.evaluate('a', policyInput()), [{}]);
});

const exploding = `package a

default allow := true

allow := false if input.model == "explode"

many := count([1 | some i in numbers.range(1, 3000); some j in numbers.range(1, 3000); i * j > 1]) if {
	input.model == "explode"
}
`;

test('an evaluation that takes longer than its limit is ended, and the next one works', { skip }, async () => {
  const policy = await load(exploding, {}, { limitMs: 100 });
  const took: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const started = performance.now();
    assert.throws(() => policy.evaluate('a', policyInput({ model: 'explode' })), failure('policy_deadline', /limit/));
    took.push(performance.now() - started);
    await undisturbed(20, async () => assert.deepEqual(await policy.evaluate('a', policyInput()), [{ allow: true }]));
  }
  // It would take a minute.
  assert.ok(Math.min(...took) < 1000 && Math.max(...took) < 20_000, `${took.join()} ms`);
});

test('what breaks the instance is an error, and the next evaluation has a new one', { skip }, async () => {
  const policy = await load('package a\n\nallow if input.model in data.models\n', { models: ['tiny'] });
  const input = policyInput({ model: 'tiny' });
  for (let round = 0; round < 2; round += 1) {
    // In the middle of the module no stack is left: a trap, as one by memory would be.
    assert.throws(() => atTheEndOfTheStack(() => policy.evaluate('a', input)), RangeError);
    assert.deepEqual(await policy.evaluate('a', input), [{ allow: true }]);
    assert.deepEqual(await policy.evaluate('a', policyInput({ model: 'other' })), [{}]);
  }
});

function atTheEndOfTheStack(call: () => unknown): unknown {
  let left: number;
  const depth = (): number => {
    try {
      return depth() + 1;
    } catch {
      return 1;
    }
  };
  const dive = (levels: number): unknown => (levels === 0 ? call() : dive(levels - 1));
  left = Math.floor(depth() * 0.3);
  // Deeper and deeper, until it is the module that finds no stack.
  for (;;) {
    dive(left);
    left += 20;
  }
}

test('what does not compile is refused with file and row', { skip }, async () => {
  const engine = createTopdownEngine();
  const policy = {
    revision: 'r1',
    wasm: undefined,
    files: new Map(),
    data: {},
    reads: { all: true, members: new Set<string>() },
    shapes: new Map(),
    codes: new Set<string>(),
    deterministic: false,
  };
  const modules = { 'p.rego': 'package a\n\nallow if nobody(input)\n' };
  await assert.rejects(engine.load({ ...policy, modules, entrypoints: ['a'] }), /p\.rego:3:\d+: rego_type_error/);
  const good = { 'p.rego': 'package a\n\nallow := true\n' };
  await assert.rejects(engine.load({ ...policy, modules: good, entrypoints: ['b'] }), /unknown_entrypoint/);
});

test('ten thousand evaluations do not make the memory grow without end', { skip }, async () => {
  const policy = await load('package a\n\nallow if count(input.messages) > 3\n');
  const messages = Array.from({ length: 50 }, (_, i) => ({ role: 'user', content: `line ${i}`.repeat(20) }));
  const run = async (times: number) => {
    for (let i = 0; i < times; i += 1) await policy.evaluate('a', policyInput({ messages }));
    return process.memoryUsage().arrayBuffers;
  };
  const before = await run(300);
  const grown = (await run(2000)) - before;
  assert.ok(grown < 32 * 1024 * 1024, `${grown} bytes more`);
});

function failure(code: EvaluationError['code'], message: RegExp) {
  return (error: unknown): true => {
    assert.ok(error instanceof EvaluationError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}
