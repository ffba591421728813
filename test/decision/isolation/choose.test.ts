/** Where `auto` sends a policy, and what it sends elsewhere afterwards. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWasmEngine } from '../../../src/decision/engines/wasm.ts';
import { choosePlace } from '../../../src/decision/isolation/choose.ts';
import { loadIsolated } from '../../../src/decision/isolation/isolate.ts';
import { isLargeInput } from '../../../src/decision/isolation/large-input.ts';
import type { DecisionEngine, EngineLoad, InputNeeds } from '../../../src/types.ts';
import { noModule } from '../../policy/toolchain-fixture.ts';
import { policyConfig } from '../../support/policy-config.ts';
import { compile } from '../engines/compiled.ts';
import { policyInput } from '../input.ts';

const engine = (needs: DecisionEngine['needs'], holds?: EngineLoad): DecisionEngine => ({
  name: 'e',
  needs,
  ...(holds && { holds }),
  load: () => Promise.reject(new Error('not loaded here')),
});
const reads = (...members: string[]): InputNeeds => ({ all: false, members: new Set(members) });
const everything: InputNeeds = { all: true, members: new Set() };
const none: ReadonlySet<string> = new Set();
const auto = policyConfig();
const wasm = engine('wasm');

for (const [what, of, policy, bytes, place] of [
  ['a policy that reads nothing long', wasm, { reads: reads('model', 'agent_role'), builtins: none }, 1000, 'inline'],
  ['a policy that reads content', wasm, { reads: reads('messages'), builtins: none }, 1000, 'by_input'],
  ['a policy that reads everything', wasm, { reads: everything, builtins: none }, 1000, 'by_input'],
  ['much data', wasm, { reads: reads('model'), builtins: none }, 5_000_001, 'worker'],
  ['a built-in that explodes', wasm, { reads: reads('model'), builtins: new Set(['numbers.range']) }, 1000, 'worker'],
  ['a compiled bundle, of which nothing is known', wasm, { reads: everything, builtins: undefined }, 1000, 'worker'],
  ['an interpreter', engine('rego', 'interpreted'), { reads: reads('model'), builtins: none }, 1000, 'worker'],
  ['a program', engine('none', 'user_code'), { reads: reads('model'), builtins: none }, 0, 'worker'],
  ['an engine elsewhere', engine('none', 'elsewhere'), { reads: everything, builtins: undefined }, 0, 'inline'],
  [
    'an engine that needs nothing here and says no more',
    engine('none'),
    { reads: everything, builtins: undefined },
    0,
    'inline',
  ],
] as const) {
  test(`auto evaluates ${what}: ${place}`, () => {
    assert.equal(choosePlace(auto, of, policy, bytes).place, place);
  });
}

test('what the configuration says goes, but for programs and for engines elsewhere', () => {
  const policy = { reads: everything, builtins: undefined };
  for (const isolation of ['inline', 'worker'] as const) {
    const config = policyConfig({ isolation });
    assert.equal(choosePlace(config, wasm, policy, 10_000_000).place, isolation);
    assert.equal(choosePlace(config, engine('none', 'user_code'), policy, 0).place, 'worker');
    assert.equal(choosePlace(config, engine('none', 'elsewhere'), policy, 0).place, 'inline');
  }
});

test('an input is large with 256 KiB of text or a thousand values in what the policy reads', () => {
  const long = policyInput({ messages: [{ role: 'user', content: 'x'.repeat(257 * 1024) }] });
  const many = policyInput({ messages: Array.from({ length: 400 }, () => ({ role: 'user', content: '' })) });
  for (const input of [long, many]) {
    assert.equal(isLargeInput(input, undefined), true);
    assert.equal(isLargeInput(input, ['model', 'messages']), true);
    assert.equal(isLargeInput(input, ['model']), false);
  }
  assert.equal(isLargeInput(policyInput(), undefined), false);
});

const counting = `package a

allow if count(input.messages) < 400

allow if {
	some i, j, k
	input.messages[i].content == "a"
	input.messages[j].content == "a"
	input.messages[k].content == input.messages[i].role
}
`;

test('small inputs are evaluated inline, large ones in threads, with the same result', {
  skip: noModule,
}, async (t) => {
  const policy = await compile(counting, 'a');
  const config = policyConfig({ entrypoint: 'a' });
  const options = { config, engine: createWasmEngine(), bytes: 0, onLost() {}, onMoved() {} };
  const { loaded, place } = await loadIsolated({ ...policy, builtins: new Set(['count']) }, options);
  t.after(() => loaded.close());
  assert.equal(place.place, 'by_input');
  const messages = (count: number) => Array.from({ length: count }, () => ({ role: 'user', content: '' }));
  const small = loaded.evaluate('a', policyInput({ messages: messages(3) }));
  assert.deepEqual(small, [{ allow: true }]);
  const large = loaded.evaluate('a', policyInput({ messages: messages(399) }));
  assert.ok(large instanceof Promise);
  assert.deepEqual(await large, [{ allow: true }]);
});

test('a policy that held the event loop up once is evaluated in threads from then on', {
  skip: noModule,
}, async (t) => {
  const policy = await compile(counting, 'a');
  const config = policyConfig({ entrypoint: 'a' });
  const moved: number[] = [];
  const wasmEngine = createWasmEngine();
  const options = { config, engine: wasmEngine, bytes: 0, onLost() {}, onMoved: (ms: number) => void moved.push(ms) };
  const { loaded } = await loadIsolated({ ...policy, builtins: none }, options);
  t.after(() => loaded.close());
  // Cubic, and not a thousand values.
  const slow = Array.from({ length: 200 }, () => ({ content: 'a' }));
  const nothing = policyInput({ messages: [...slow, ...Array.from({ length: 250 }, () => '')] });
  for (let round = 0; round < 3 && moved.length === 0; round += 1) loaded.evaluate('a', nothing);
  assert.equal(moved.length, 1);
  const next = loaded.evaluate('a', policyInput({ messages: [] }));
  assert.ok(next instanceof Promise);
  assert.deepEqual(await next, [{ allow: true }]);
});
