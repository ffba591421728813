/** Built-ins of OPA in threads: each has an instance of its own, and the module is compiled once. */
import assert from 'node:assert/strict';
import { test as define } from 'node:test';

import { createWasmEngine } from '../../../src/decision/engines/wasm.ts';
import { loadInThreads } from '../../../src/decision/isolation/isolate.ts';
import { packPolicy } from '../../../src/decision/isolation/pack.ts';
import { isOpaModuleBuilt } from '../../../src/opa-module/module-file.ts';
import { patient } from '../../support/at-best.ts';
import { policyConfig } from '../../support/policy-config.ts';
import { compile } from '../engines/compiled.ts';
import { policyInput } from '../input.ts';

const skip = isOpaModuleBuilt() ? false : 'opa/build/opa.wasm is built with Go, which is not here';

const rego = `package a

text := sprintf("%d of %s", [input.principal.claims.uid + data.one, input.model])

slow if {
	all := numbers.range(1, input.options.n)
	every i in all {
		every j in all { i != [j] }
	}
}
`;

// The deadline is short here: what a held up process spoils is carried out anew.
const test = patient(define, 100);

test('a thread answers by OPA, keeps every digit, and so does the one that replaces it', { skip }, async (t) => {
  const policy = await compile(rego, 'a', { one: 1 });
  const engine = createWasmEngine();
  // The time must be over before the memory is, on any machine.
  const config = policyConfig({ path: 'none', deadline: 500, memory: 4 * 2 ** 30, workers: 1, isolation: 'worker' });
  const lost: string[] = [];
  const loaded = await loadInThreads(packPolicy(policy), { config, engine, onLost: ({ code }) => lost.push(code) });
  t.after(() => loaded.close());
  const ask = async (n: number) => {
    const principal = { ...policyInput().principal, claims: { uid: JSON.rawJSON('9007199254740992') } };
    const input = policyInput({ model: 'tiny', principal, options: { n } });
    return JSON.stringify(await loaded.evaluate('a', input));
  };
  await awaitAnswer();
  assert.match(await ask(1), /"slow":true/);
  await assert.rejects(ask(200_000), { code: 'policy_deadline' });
  await awaitAnswer();
  for (let round = 0; round < 3; round += 1) assert.match(await ask(1), /"text":"9007199254740993 of tiny"/);
  assert.equal(lost.length, 1);

  /** A thread compiles OPA's module anew: on a busy machine that takes longer than the deadline of the first requests. */
  async function awaitAnswer(): Promise<void> {
    let denied = 0;
    while (denied < 20 && !(await ask(1).then(Boolean, () => false))) denied += 1;
  }
});
