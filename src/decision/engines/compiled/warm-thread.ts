/** The thread of `warm-apart.ts`: evaluates each entrypoint once, without data and with an input that has nothing in it. */
import { workerData } from 'node:worker_threads';

import { instantiatePolicy } from './policy-module.ts';
import type { WarmData } from './warm-apart.ts';

const { module }: WarmData = workerData;

const policy = instantiatePolicy(module, {
  data: Buffer.from('{}'),
  initialPages: 5,
  maximumPages: 1024,
  callBuiltin: () => 0,
});
for (const id of Object.values(policy.entrypoints)) {
  try {
    policy.evaluate(id, {});
  } catch {
    // As far as it went. What it came to says nothing: no built-in was answered.
  }
}
