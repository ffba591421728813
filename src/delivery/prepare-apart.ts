/**
 * Prepares a policy in a thread of its own. To read, check, hash and hand over tens of megabytes of data takes seconds, in
 * which the sidecar's thread could serve nobody.
 */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { SignatureConfig } from '../configured/policy.ts';
import type { Failure, PackedPolicy } from '../decision/isolation/messages.ts';
import { unpackFailure } from '../decision/isolation/pack.ts';
import type { PreparedPolicy } from '../policy/prepare.ts';
import type { EngineNeeds } from '../types.ts';

export interface PrepareApartOptions {
  readonly path: string;
  readonly entrypoint: string;
  readonly needs: EngineNeeds;
  readonly searchPath: string | undefined;
  readonly runTests: boolean | undefined;
  readonly signature: SignatureConfig | undefined;
  readonly mustFitSchema: boolean;
  readonly logRules: boolean | undefined;
}

/** As `preparePolicy` gives it, but for the policy, which is packed. */
export interface PreparedApart extends Omit<PreparedPolicy, 'policy'> {
  readonly policy: PackedPolicy;
}

export type PrepareReply = { readonly prepared: PreparedApart } | { readonly failure: Failure };

// Run from the source by Node it is prepare-thread.ts, from the package prepare-thread.js.
const script = fileURLToPath(new URL(`./prepare-thread${extname(import.meta.url)}`, import.meta.url));

/** @throws PolicyError with every fault and its place */
export async function prepareApart(options: PrepareApartOptions): Promise<PreparedApart> {
  const thread = new Worker(script, {
    name: 'prepare policy',
    workerData: options,
    env: {},
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  try {
    const reply = await new Promise<PrepareReply>((resolve, reject) => {
      thread.once('message', resolve);
      thread.once('error', reject);
      thread.once('exit', (code) => reject(new Error(`The policy could not be prepared: exit code ${code}.`)));
    });
    if ('failure' in reply) throw unpackFailure(reply.failure);
    return reply.prepared;
  } finally {
    await thread.terminate();
  }
}
