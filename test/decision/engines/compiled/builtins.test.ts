/** Built-ins of compiled policy: who answers them, what they are told, and what is refused when the policy is loaded. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import jwt from 'jsonwebtoken';

import { createWasmEngine, type WasmEngineOptions } from '../../../../src/decision/engines/wasm.ts';
import { PolicyError } from '../../../../src/errors.ts';
import { isOpaModuleBuilt } from '../../../../src/opa-module/module-file.ts';
import type { PolicySet } from '../../../../src/types.ts';
import { atBest } from '../../../support/at-best.ts';
import { policyInput } from '../../input.ts';
import { compile, load } from '../compiled.ts';

const skip = isOpaModuleBuilt() ? false : 'opa/build/opa.wasm is built with Go, which is not here';

/** @returns the value of `x`, undefined where it has none */
async function evaluateX(rego: string, input: object = {}): Promise<unknown> {
  const policy = await load(`package a\n\n${rego}\n`, 'a/x');
  const [value] = await policy.evaluate('a/x', Object.assign(policyInput(), input));
  await policy.close();
  return value;
}

const own: ReadonlyArray<readonly [name: string, rego: string, value: unknown]> = [
  [
    'sprintf pads and types as OPA does',
    'x := sprintf("%05d|%-4s|%v|%x", [7, "a", {"b": [1]}, 255])',
    '00007|a   |{"b": [1]}|ff',
  ],
  ['sprintf says what does not fit', 'x := sprintf("%d", ["a"])', '%!d(string=a)'],
  ['sprintf keeps every digit', 'x := sprintf("%d", [12345678901234567890123])', '12345678901234567890123'],
  ['regex.split takes RE2', 'x := regex.split(`(?i)\\s*and\\s*`, "a AND b and c")', ['a', 'b', 'c']],
  ['yaml.unmarshal reads YAML', 'x := yaml.unmarshal("a: [1, 2]\\nb: yes")', { a: [1, 2], b: 'yes' }],
  ['yaml.marshal sorts as OPA does', 'x := yaml.marshal({"b": 1, "a": {2, 1}})', 'a:\n  - 1\n  - 2\nb: 1\n'],
  [
    'crypto.sha256 is there',
    'x := crypto.sha256("a")',
    'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb',
  ],
  [
    'a set is a set to OPA',
    'x := json.patch({"s": {1, 2}}, [{"op": "add", "path": ["s", 3], "value": 3}]).s == {1, 2, 3}',
    true,
  ],
  ['a set comes back as one', 'x if { graph.reachable_paths({"a": {"b"}, "b": set()}, {"a"}) == {["a", "b"]} }', true],
  ['keys that are no strings come back', 'x := object.subset({1: {"a", "b"}, [2]: 3}, {1: {"a"}})', true],
  ['time zones are there', 'x := time.clock([1750000000000000000, "America/New_York"])', [11, 6, 40]],
  ['semantic versions are there', 'x := semver.compare("1.10.0", "1.9.0")', 1],
];
for (const [name, rego, value] of own) {
  test(`OPA's own: ${name}`, { skip }, async () => {
    assert.deepEqual(await evaluateX(rego), value);
  });
}

test('a built-in that fails leaves its rule undefined, and the rest goes on', { skip }, async () => {
  assert.equal(await evaluateX('x := units.parse("no number")'), undefined);
  assert.equal(await evaluateX('x := "else" if not units.parse("no number")'), 'else');
});

test('bytes that are no UTF-8 are the same to OPA as to compiled policy', { skip }, async () => {
  assert.equal(await evaluateX('x := hex.encode(base64.decode("/wBB"))'), 'ff0041');
});

test('a backtracking pattern takes no longer than another', { skip }, async () => {
  const policy = await load('package a\n\nx := regex.split(input.model, input.path)\n', 'a/x');
  const input = policyInput({ model: '(a*)*b', path: 'a'.repeat(50_000) });
  const tookMs = await atBest(2000, async () => {
    const started = performance.now();
    assert.deepEqual(await policy.evaluate('a/x', input), [['a'.repeat(50_000)]]);
    return performance.now() - started;
  });
  assert.ok(tookMs < 2000, `${tookMs} ms`);
});

test('a decision has one clock reading: of the host, of OPA, and in the input', { skip }, async () => {
  const rego = `x := {"same": time.now_ns() == input.now_ns, "valid": v} if {
    [v, _, _] := io.jwt.decode_verify(input.model, {"secret": "secret"})
  }`;
  const token = jwt.sign({ exp: 1_700_000_000 }, 'secret', { noTimestamp: true });
  const policy = await load(`package a\n\n${rego}\n`, 'a/x');
  const at = async (now_ns: number) => (await policy.evaluate('a/x', policyInput({ now_ns, model: token })))[0];
  assert.deepEqual(await at(1_699_999_999_000_000_000), { same: true, valid: true });
  assert.deepEqual(await at(1_700_000_001_123_456_800), { same: true, valid: false });
});

test('what is random is drawn from the decision, so that it is the same in a replay and in no other one', async () => {
  const rego = `package a

x := [rand.intn("a", 1000000), rand.intn("a", -1000000), rand.intn("b", 1000000), rand.intn("a", 0), uuid.rfc4122("k"), uuid.rfc4122("k"), uuid.rfc4122("l")]
`;
  const policy = await load(rego, 'a/x');
  const draw = async (decision_id: string): Promise<readonly unknown[]> => {
    const [list] = await policy.evaluate('a/x', policyInput({ decision_id }));
    assert.ok(Array.isArray(list));
    return list;
  };
  const [a, negative, b, none, k, again, l] = await draw('one');
  assert.equal(a, negative);
  assert.notEqual(a, b);
  assert.equal(none, 0);
  assert.ok(Number.isInteger(a) && Number(a) >= 0 && Number(a) < 1_000_000, String(a));
  assert.match(String(k), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(k, again);
  assert.notEqual(k, l);
  assert.deepEqual(await draw('one'), [a, negative, b, none, k, again, l]);
  const [other, , , , otherUuid] = await draw('two');
  assert.notEqual(other, a);
  assert.notEqual(otherUuid, k);
});

test('integers beyond 2^53 keep every digit: of data, of the policy, in arithmetic and in results', async () => {
  const exact = JSON.rawJSON('9007199254740993');
  const policy = await load(
    'package a\n\nx := {"d": data.id, "sum": data.id + 2, "own": 18446744073709551617}\n',
    'a/x',
    {
      id: exact,
    },
  );
  const results = await policy.evaluate('a/x', policyInput());
  assert.equal(JSON.stringify(results), '[{"d":9007199254740993,"own":18446744073709551617,"sum":9007199254740995}]');
});

test('integers beyond 2^53 reach OPA as they are', { skip }, async () => {
  assert.equal(
    await evaluateX('x := sprintf("%d", [input.options.seed])', {
      options: { seed: JSON.rawJSON('9007199254740993') },
    }),
    '9007199254740993',
  );
});

test('sets are lists in the order that OPA sorts them', async () => {
  const rego = 'x := {"😀", "\uffee", "b", "a", 10, 9, 2.5, null, true, false, [1, 2], [1], {"a": 1}, {1, 2}, {1}}';
  assert.deepEqual(await evaluateX(rego), [
    null,
    false,
    true,
    2.5,
    9,
    10,
    'a',
    'b',
    '\uffee',
    '😀',
    [1],
    [1, 2],
    { a: 1 },
    [1],
    [1, 2],
  ]);
});

async function refusal(policy: PolicySet, options: WasmEngineOptions = {}): Promise<PolicyError> {
  try {
    await createWasmEngine(options).load(policy);
  } catch (error) {
    assert.ok(error instanceof PolicyError, String(error));
    return error;
  }
  assert.fail('the policy was loaded');
}

/** As another OPA would have compiled it: with another name of the same length among the imports. */
async function compiledElsewhere(rego: string, from: string, to: string): Promise<PolicySet> {
  const policy = await compile(rego, 'a');
  const wasm = Buffer.from(policy.wasm ?? []);
  const at = wasm.indexOf(`${from}\0`);
  assert.ok(at > 0, `${from} is imported`);
  wasm.write(to, at);
  return { ...policy, wasm };
}

test('a bundle of another OPA that calls what this one does not know is refused with the name', { skip }, async () => {
  const policy = await compiledElsewhere('package a\n\nallow if uri.parse(input.path)\n', 'uri.parse', 'uri.parts');
  const { faults } = await refusal(policy);
  assert.deepEqual(
    faults.map(({ code }) => code),
    ['unsupported_builtin'],
  );
  assert.match(faults[0]?.message ?? '', /^uri\.parts is no built-in of OPA 1\.\d+\.\d+, .*another version/);
});

test('a bundle that calls the network is refused with the advice to use the opa engine', { skip }, async () => {
  const policy = await compiledElsewhere('package a\n\nallow if uri.parse(input.path)\n', 'uri.parse', 'http.send');
  const { faults } = await refusal(policy);
  assert.match(faults[0]?.message ?? '', /^http\.send: there is no network .*use the opa engine/);
});

test('without the module, what only OPA has is refused with what to do, and the rest is loaded', async () => {
  const policy = await compile(
    'package a\n\nallow if {\n\tinput.model == "never"\n\tcrypto.sha256(input.model) == "x"\n\tsprintf("%s", [input.model]) == "y"\n}\n',
    'a',
  );
  const { faults, message } = await refusal(policy, { opaModule: undefined });
  assert.deepEqual(faults.map(({ message: text }) => text.split(' ', 1)[0]).sort(), ['crypto.sha256', 'sprintf']);
  assert.match(message, /npm run build:opa/);
  const other = await compile('package a\n\nallow if time.now_ns() > rand.intn("a", 5)\n', 'a');
  const loaded = await createWasmEngine({ opaModule: undefined }).load(other);
  assert.deepEqual(await loaded.evaluate('a', policyInput()), [{ allow: true }]);
});

test('the module is asked for only by a policy that needs it', async () => {
  let asked = 0;
  const opaModule = () => {
    asked += 1;
    return Promise.reject(new Error('asked for'));
  };
  const engine = createWasmEngine({ opaModule });
  await engine.load(await compile('package a\n\nallow if glob.match("a*", [], input.model)\n', 'a'));
  assert.equal(asked, 0);
  await assert.rejects(
    engine.load(await compile('package a\n\nallow if sprintf("%s", [1]) == "1"\n', 'a')),
    /asked for/,
  );
  assert.equal(asked, 1);
});
