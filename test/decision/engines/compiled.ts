import { after } from 'node:test';
import { createWasmEngine } from '../../../src/decision/engines/wasm.ts';
import type { Toolchain } from '../../../src/policy/toolchain/protocol.ts';
import { createToolchain } from '../../../src/policy/toolchain/toolchain.ts';
import type { LoadedPolicy, PolicySet } from '../../../src/types.ts';

let toolchain: Toolchain | undefined;
after(() => toolchain?.close());

/** Compiles Rego with OPA's own compiler; one tool chain serves the whole test file. */
export async function compile(
  rego: string,
  entrypoint: string,
  data: Readonly<Record<string, unknown>> = {},
): Promise<PolicySet> {
  toolchain ??= createToolchain({ path: process.env['PATH'] });
  const { wasm, entrypoints, inspection } = await toolchain.compile({
    modules: { 'policy.rego': rego },
    // The engine is given the data, as it is when a policy is prepared.
    data,
    entrypoints: [entrypoint],
  });
  return {
    revision: 'r1',
    wasm,
    modules: {},
    files: new Map(),
    data,
    entrypoints,
    reads: { all: inspection.reads.all, members: new Set(inspection.reads.members) },
    shapes: new Map(Object.entries(inspection.shapes)),
    codes: new Set(inspection.codes),
    deterministic: inspection.nondeterministicBuiltins.length === 0,
  };
}

export async function load(
  rego: string,
  entrypoint: string,
  data: Readonly<Record<string, unknown>> = {},
): Promise<LoadedPolicy> {
  return createWasmEngine().load(await compile(rego, entrypoint, data));
}
