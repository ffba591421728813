import type { PolicyConfig } from '../../src/configured/policy.ts';

/** A policy's section as the defaults of the configuration give it, but for what a test needs. */
export function policyConfig(over: Partial<PolicyConfig> = {}): PolicyConfig {
  return {
    name: 'policy',
    path: '/nowhere',
    engine: 'wasm',
    entrypoint: 'ollama/authz',
    mode: 'auto',
    denyListOperations: [],
    isolation: 'auto',
    // Tests share a busy machine; those of the deadline set their own.
    deadline: 20_000,
    memory: 1024 * 1024 * 1024,
    workers: 2,
    keepRevisions: 3,
    ...over,
  };
}
