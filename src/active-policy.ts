/** The part of the composition root that brings a policy from the configuration to where it can decide. */
import { createEngine } from './decision/engines/table.ts';
import { rememberResults } from './decision/remember.ts';
import { PolicyError } from './errors.ts';
import { type PreparedPolicy, preparePolicy } from './policy/prepare.ts';
import { createToolchain } from './policy/toolchain/toolchain.ts';
import type { Logger } from './telemetry/log.ts';
import type { Config, LoadedPolicy } from './types.ts';

export interface ActivePolicy {
  readonly prepared: PreparedPolicy;
  readonly loaded: LoadedPolicy;
}

/**
 * Prepares and loads the policy that a configuration names: what `check` does, and what `serve` does before it listens.
 *
 * @throws PolicyError
 */
export async function loadPolicy(config: Config, searchPath: string | undefined): Promise<ActivePolicy> {
  const { path, entrypoint } = config.policy;
  const engine = await createEngine(config.policy);
  const toolchain = createToolchain({ path: searchPath });
  try {
    const prepared = await preparePolicy({ path, entrypoint, toolchain, needs: engine.needs });
    const loaded = await engine.load(prepared.policy);
    if (!loaded.entrypoints.includes(entrypoint)) {
      throw new PolicyError(
        `The policy has no entrypoint ${entrypoint}; it has ${loaded.entrypoints.join(', ')}. Set policy.entrypoint.`,
      );
    }
    return { prepared, loaded: rememberResults(loaded) };
  } finally {
    await toolchain.close();
  }
}

/** Says what was loaded, and what about it an operator should know. */
export function logPolicy(log: Logger, config: Config, prepared: PreparedPolicy, loaded: LoadedPolicy): void {
  const { entrypoint, engine, path } = config.policy;
  const shape = loaded.shape(entrypoint);
  const facts = { path, engine, entrypoint, revision: loaded.revision, shape, tests_passed: prepared.testsPassed };
  log.info(facts, 'policy loaded');
  for (const warning of prepared.warnings ?? []) log.warn({ path }, warning);
  if (prepared.ignoredFiles.length > 0) {
    log.info({ files: prepared.ignoredFiles }, 'files that are neither Rego nor data.json or data.yaml were ignored');
  }
  const notReady = loaded.notReady?.();
  if (notReady !== undefined)
    log.warn({ engine, reason: notReady }, 'the engine can not decide yet: everything is denied');
  const isDenyList = shape === 'deny_list' || (shape === 'unknown' && config.policy.mode === 'deny_list');
  if (isDenyList) {
    log.warn(
      { entrypoint, allowed_by_name: config.policy.denyListOperations },
      'the policy is a deny-list: what no rule denies is allowed, but for management operations and cloud models',
    );
  } else if (shape === 'unknown') {
    log.warn(
      { entrypoint },
      'the shape of the policy is not known: it must say allow. Set policy.mode: deny_list if it is a deny-list',
    );
  }
}
