/** Run by `death.test.ts`: a process that loads a policy and ends by having nothing left to do. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadPolicy } from '../../../src/delivery/load-policy.ts';
import { policyConfig } from '../../support/policy-config.ts';
import { policyInput } from '../input.ts';
import { codeOf } from './module-policy.ts';

const directory = mkdtempSync(join(tmpdir(), 'opallama-forgetful-'));
const path = join(directory, 'authz.mjs');
writeFileSync(
  path,
  `export function evaluate() {
    console.log('not on standard output');
    return true;
  }`,
);
const { members, close } = await loadPolicy({ policies: [policyConfig({ path, engine: 'module' })] }, undefined);
const loaded = members[0]?.loaded;
if (loaded === undefined) throw new Error('nothing was loaded');
rmSync(directory, { recursive: true, maxRetries: 10 });
const [allowed] = await loaded.evaluate('ollama/authz', policyInput());
let text = allowed === true ? 'allowed' : 'denied';
if (process.argv[2] === 'close') {
  await close();
  text += await Promise.resolve(loaded.evaluate('ollama/authz', policyInput())).then(
    () => ', then answered',
    (error: unknown) => `, then ${codeOf(error)}`,
  );
}
process.stdout.write(`${text}\n`);
