/**
 * Every engine by its name in the configuration. A new one is a file beside this and a line here; nothing else tells one
 * from another.
 *
 * Imported only when configured: a sidecar on compiled Rego loads neither Cedar nor a client for a remote OPA.
 */

import type { PolicyConfig } from '../../configured/policy.ts';
import type { DecisionEngine } from '../../types.ts';

/** @param config of the policy that the engine is for; an engine's own options stand below its name */
type EngineFactory = (config: PolicyConfig) => Promise<DecisionEngine>;

const engines: Readonly<Record<string, EngineFactory>> = {
  wasm: async (config) => (await import('./wasm.ts')).createWasmEngine(config),
  topdown: async (config) => (await import('./topdown.ts')).createTopdownEngine({ limitMs: config.deadline }),
  opa: async ({ opa }) => (await import('./opa.ts')).createOpaEngine(opa),
  cedar: async () => (await import('./cedar.ts')).createCedarEngine(),
  module: async (config) => (await import('./module.ts')).createModuleEngine(config),
};

export const engineNames: readonly string[] = Object.keys(engines);

/** Loads nothing of the policy yet. */
export async function createEngine(config: PolicyConfig): Promise<DecisionEngine> {
  const create = Object.hasOwn(engines, config.engine) ? engines[config.engine] : undefined;
  if (create === undefined) throw new Error(`There is no engine ${config.engine}.`);
  return create(config);
}
