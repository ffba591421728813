import assert from 'node:assert/strict';
import { test } from 'node:test';

import { warmApart } from '../../../../src/decision/engines/compiled/warm-apart.ts';
import { createWasmEngine } from '../../../../src/decision/engines/wasm.ts';
import { policyInput } from '../../input.ts';
import { compile } from '../compiled.ts';

test('a policy that is large enough to be warmed in a thread decides as it says', async () => {
  const rules = Array.from(
    { length: 3000 },
    (_, n) =>
      `deny contains "m${n}" if {\n  input.model == "forbidden-${n}"\n  not "admin-${n}" in input.principal.roles\n}`,
  );
  const policy = await compile(['package a', ...rules].join('\n\n'), 'a/deny');
  assert.ok((policy.wasm?.length ?? 0) > 512 * 1024, `${policy.wasm?.length} bytes`);
  const loaded = await createWasmEngine().load(policy);
  assert.deepEqual(loaded.evaluate('a/deny', policyInput({ model: 'forbidden-7' })), [['m7']]);
  assert.deepEqual(loaded.evaluate('a/deny', policyInput({ model: 'tiny' })), [[]]);
});

test('a policy that takes long without input either is not waited for', async () => {
  const digits = `[${Array.from({ length: 30 }, (_, n) => n).join(', ')}]`;
  const loops = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => `some ${name} in ${digits}`).join('\n  ');
  const { wasm } = await compile(`package a\n\np if {\n  ${loops}\n  a + b + c + d + e + f + g < 0\n}`, 'a/p');
  const began = performance.now();
  await warmApart(await WebAssembly.compile(new Uint8Array(wasm ?? [])), 200);
  const tookMs = performance.now() - began;
  // A timer counts from the beginning of its turn of the loop, so it may be some milliseconds early.
  assert.ok(tookMs >= 100 && tookMs < 5000, `${tookMs} ms`);
});

test('what is no policy is warmed by nobody, and hurts nobody', async () => {
  await warmApart(await WebAssembly.compile(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)));
});
