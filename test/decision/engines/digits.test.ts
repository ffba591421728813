/** Whole numbers beyond those that JavaScript has: into an engine, through its data, and out of it, none loses a digit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noModule } from '../../policy/toolchain-fixture.ts';
import { policyInput } from '../input.ts';
import { createLoader } from './suite.ts';

const skip = noModule;
const numbers = ['9007199254740993', '-9007199254740993', '123456789012345678901234567890'];
const principal = (account: unknown) => ({ ...policyInput().principal, claims: { account } });

for (const engine of ['wasm', 'topdown'] as const) {
  const load = createLoader({ engine, kind: 'rego' });

  for (const number of numbers) {
    test(`${engine}: ${number} of a claim is found in the data, and its neighbour is not`, { skip }, async () => {
      const { decide } = await load('digits');
      const ask = (account: unknown) => decide(policyInput({ principal: principal(account) }));
      assert.equal((await ask(JSON.rawJSON(number))).allowed, true);
      assert.equal((await ask(JSON.rawJSON(number.replace(/.$/, '7')))).allowed, false);
      assert.equal((await ask(Number(number))).allowed, false);
    });

    test(`${engine}: ${number} comes out of a policy with all its digits`, { skip }, async () => {
      const { decide } = await load('digits');
      const { dynamicMetadata } = await decide(policyInput({ principal: principal(JSON.rawJSON(number)) }));
      assert.equal(JSON.stringify(dynamicMetadata), `{"account":${number}}`);
    });
  }

  test(`${engine}: numbers that JavaScript has come out as numbers`, { skip }, async () => {
    const { decide } = await load('digits');
    const account = [9_007_199_254_740_991, 0.1, 1e100, -0.5, 1_750_000_000_123_456_000, 1];
    const { dynamicMetadata } = await decide(policyInput({ principal: principal(account) }));
    assert.deepEqual(dynamicMetadata, { account });
  });
}
