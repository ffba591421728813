/** What a discovery bundle says: data, or what its Rego makes of it. */

import type { DiscoveryConfig } from '../configured/management.ts';
import type { PolicyConfig } from '../configured/policy.ts';
import { createEngine } from '../decision/engines/table.ts';
import { loadInThreads } from '../decision/isolation/isolate.ts';
import { packPolicy } from '../decision/isolation/pack.ts';
import { PolicyError } from '../errors.ts';
import { preparePolicy } from '../policy/prepare.ts';
import { readPolicySource } from '../policy/source.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';

export interface EvaluatedDiscovery {
  readonly revision: string;
  readonly value: unknown;
}

/** It has no input; this is what built-ins go by. */
interface Asked {
  evaluate(entrypoint: string, input: Moment): readonly unknown[] | Promise<readonly unknown[]>;
}

interface Moment {
  readonly decision_id: string;
  readonly now_ns: number;
}

const mebibyte = 1024 * 1024;

/**
 * @param file the bundle
 * @throws PolicyError where it can't be read, or says nothing
 */
export async function evaluateDiscovery(
  file: string,
  { decision, signature }: Pick<DiscoveryConfig, 'decision' | 'signature'>,
  searchPath: string | undefined,
): Promise<EvaluatedDiscovery> {
  const { modules, data, revision = 'unnamed' } = await readPolicySource(file, { signature });
  if (Object.keys(modules).length === 0) return { revision, value: findData(data, decision) };
  if (decision === undefined)
    throw new PolicyError('The discovery bundle holds Rego: say which rule is meant, management.discovery.decision.');
  return { revision, value: await evaluateRego(file, decision, signature, searchPath) };
}

function findData(data: Readonly<Record<string, unknown>>, decision: string | undefined): unknown {
  let value: unknown = data;
  for (const part of decision?.split('/') ?? [])
    value = Object.hasOwn(Object(value), part) ? Object(value)[part] : undefined;
  if (value === undefined) throw new PolicyError(`The discovery bundle has no data at ${decision ?? ''}.`);
  return value;
}

/** In a thread, which can be ended: whoever writes the bundle must not be able to hold the sidecar up. */
async function evaluateRego(
  path: string,
  entrypoint: string,
  signature: DiscoveryConfig['signature'],
  searchPath: string | undefined,
): Promise<unknown> {
  const toolchain = createToolchain({ path: searchPath });
  try {
    const { policy } = await preparePolicy({ path, entrypoint, toolchain, signature });
    const config: PolicyConfig = {
      name: 'discovery',
      path,
      engine: 'wasm',
      entrypoint,
      mode: 'auto',
      denyListOperations: [],
      isolation: 'worker',
      deadline: 5000,
      memory: 256 * mebibyte,
      workers: 1,
      keepRevisions: 1,
    };
    const packed = packPolicy({ ...policy, reads: { all: true, members: new Set() } });
    const loaded = await loadInThreads(packed, { config, engine: await createEngine(config), onLost: () => {} });
    const asked: Asked = loaded;
    try {
      const results = await asked.evaluate(entrypoint, { decision_id: '', now_ns: Date.now() * 1e6 });
      if (results.length !== 1) throw new PolicyError(`The discovery bundle says nothing at ${entrypoint}.`);
      return results[0];
    } finally {
      await loaded.close();
    }
  } finally {
    await toolchain.close();
  }
}
