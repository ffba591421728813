/** What is wrong with a policy in another language than Rego: its engine says when it loads it. */
import { join } from 'node:path';

import { CallError, PolicyError, type PolicyFault } from '../errors.ts';
import { preparePolicy } from '../policy/prepare.ts';
import { readPolicyFiles } from '../policy/source.ts';
import type { Toolchain } from '../policy/toolchain/protocol.ts';
import type { DecisionEngine } from '../types.ts';
import type { NamedPolicy } from './policy-paths.ts';

export interface ExaminedFiles {
  readonly source: NamedPolicy;
  readonly faults: readonly PolicyFault[];
}

/** @throws CallError for several paths; PolicyError for what is no fault of a file */
export async function examineFiles(
  engine: DecisionEngine,
  paths: readonly string[],
  entrypoint: string,
  toolchain: Toolchain,
): Promise<ExaminedFiles> {
  const [path, second] = paths;
  if (path === undefined || second !== undefined)
    throw new CallError(`A policy of the engine ${engine.name} is one directory. Name one path.`);
  const { kind, files, revision } = await readPolicyFiles(path);
  const display = (file: string): string => (kind === 'file' ? path : join(path, file));
  const source: NamedPolicy = {
    kind: kind === 'bundle' ? 'bundle' : 'directory',
    modules: {},
    data: {},
    wasm: undefined,
    files,
    library: [],
    revision,
    display,
  };
  try {
    const { policy } = await preparePolicy({ path, entrypoint, toolchain, needs: 'files' });
    await (await engine.load(policy)).close();
    return { source, faults: [] };
  } catch (error) {
    if (!(error instanceof PolicyError) || error.faults.length === 0) throw error;
    const faults = error.faults.map((fault) => ({
      ...fault,
      file: fault.file === undefined ? undefined : display(fault.file),
    }));
    return { source, faults };
  }
}

/** Whether what lies there is Cedar and no Rego, where nobody said which engine it is for. */
export async function isCedar(path: string): Promise<boolean> {
  const { files } = await readPolicyFiles(path);
  const names = [...files.keys()];
  return names.some((name) => name.endsWith('.cedar')) && !names.some((name) => /\.(?:rego|wasm)$/.test(name));
}
