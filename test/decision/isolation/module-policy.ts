/** Policies of the engine `module` for tests: small files in a directory of their own. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { PolicyConfig } from '../../../src/configured/policy.ts';
import { createEngine } from '../../../src/decision/engines/table.ts';
import { loadIsolated } from '../../../src/decision/isolation/isolate.ts';
import { preparePolicy } from '../../../src/policy/prepare.ts';
import { createToolchain } from '../../../src/policy/toolchain/toolchain.ts';
import type { LoadedPolicy, PolicyInput } from '../../../src/types.ts';
import { policyConfig } from '../../support/policy-config.ts';
import { policyInput } from '../input.ts';

export interface ModulePolicy {
  readonly loaded: LoadedPolicy;
  readonly path: string;
  /** Codes with which threads were lost. */
  readonly lost: string[];
  /** @returns the results, or the code of the failure */
  ask(model: string, over?: Partial<PolicyInput>): Promise<readonly unknown[] | string>;
}

export async function loadModule(
  t: TestContext,
  source: string,
  over: Partial<PolicyConfig> & { readonly name?: string; readonly files?: Readonly<Record<string, string>> } = {},
): Promise<ModulePolicy> {
  const { name = 'authz.mjs', files = {}, ...configured } = over;
  const directory = await mkdtemp(join(tmpdir(), 'opallama-module-'));
  t.after(() => rm(directory, { recursive: true, maxRetries: 10, force: true }));
  const path = join(directory, name);
  for (const [file, text] of Object.entries({ ...files, [name]: source })) await writeFile(join(directory, file), text);

  const config = policyConfig({ path, engine: 'module', ...configured });
  const lost: string[] = [];
  const toolchain = createToolchain({ path: undefined });
  const engine = await createEngine(config);
  const { policy } = await preparePolicy({ path, entrypoint: config.entrypoint, toolchain, needs: engine.needs });
  const { loaded } = await loadIsolated(policy, {
    config,
    engine,
    bytes: 0,
    onLost: ({ code }) => lost.push(code),
    onMoved() {},
  });
  t.after(() => loaded.close());
  return {
    loaded,
    path,
    lost,
    async ask(model, input = {}) {
      try {
        return await loaded.evaluate(config.entrypoint, policyInput({ model, ...input }));
      } catch (error) {
        return codeOf(error);
      }
    },
  };
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
