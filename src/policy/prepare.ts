/**
 * From files to a policy that an engine can load: compiled, its tests passed. Whatever is wrong with it is found here, with
 * file and line, before it can decide anything.
 */
import { createHash } from 'node:crypto';

import { PolicyError } from '../errors.ts';
import type { PolicySet } from '../types.ts';
import { type PolicySource, readPolicySource } from './source.ts';
import type { Inspection, TestCase, Toolchain } from './toolchain/protocol.ts';

export interface PrepareOptions {
  readonly path: string;
  readonly entrypoint: string;
  readonly toolchain: Toolchain;
}

export interface PreparedPolicy {
  readonly policy: PolicySet;
  readonly kind: PolicySource['kind'];
  /** How many Rego tests ran; 0 for a compiled bundle. */
  readonly testsPassed: number;
  readonly ignoredFiles: readonly string[];
}

/** @throws PolicyError with every fault and its place */
export async function preparePolicy(options: PrepareOptions): Promise<PreparedPolicy> {
  const { path, entrypoint, toolchain } = options;
  checkEntrypoint(entrypoint);
  const source = await readPolicySource(path);
  const revision = source.revision ?? hashFiles(source);
  const rest = { kind: source.kind, ignoredFiles: source.ignored };

  if (source.wasm !== undefined) {
    // A compiled bundle brings no report of what it reads: it is given everything.
    const policy = {
      revision,
      data: source.data,
      wasm: source.wasm,
      entrypoints: [entrypoint],
      ...describe(undefined),
    };
    return { ...rest, policy, testsPassed: 0 };
  }

  const testsPassed = await runTests(source, toolchain);
  const compiled = await toolchain.compile({ modules: source.modules, data: source.data, entrypoints: [entrypoint] });
  const policy = {
    revision,
    data: source.data,
    wasm: compiled.wasm,
    entrypoints: compiled.entrypoints,
    ...describe(compiled.inspection),
  };
  return { ...rest, policy, testsPassed };
}

/** A rule that says whom to deny would, as an entrypoint, allow exactly them: `true` is an allow (design: decision). */
function checkEntrypoint(entrypoint: string): void {
  const segments = entrypoint.split('/');
  if (/^den(?:y|ied|ial)$/.test(segments.at(-1) ?? '')) {
    throw new PolicyError(
      `The entrypoint ${entrypoint} names a rule that denies; its "true" would allow. Name its package: ${segments.slice(0, -1).join('/')}.`,
    );
  }
}

async function runTests(source: PolicySource, toolchain: Toolchain): Promise<number> {
  if (!Object.keys(source.modules).some((file) => file.endsWith('_test.rego'))) return 0;
  const { passed, cases } = await toolchain.test({ modules: source.modules, data: source.data });
  if (!passed) throw new PolicyError("The policy's own tests fail.", cases.filter(isFailure).map(toFault));
  return cases.filter(({ outcome }) => outcome === 'pass').length;
}

function isFailure({ outcome }: TestCase): boolean {
  return outcome === 'fail' || outcome === 'error';
}

function toFault(test: TestCase) {
  const { file, row, column } = test;
  const message = [`${test.package}.${test.name}`, test.message].filter((part) => part !== undefined).join(': ');
  return { code: test.outcome === 'fail' ? 'test_failed' : 'test_error', message, file, row, column };
}

function describe(inspection: Inspection | undefined): Pick<PolicySet, 'reads' | 'shapes' | 'codes' | 'deterministic'> {
  return {
    reads: { all: inspection?.reads.all ?? true, members: new Set(inspection?.reads.members) },
    shapes: new Map(Object.entries(inspection?.shapes ?? {})),
    codes: new Set(inspection?.codes),
    deterministic: inspection?.nondeterministicBuiltins.length === 0,
  };
}

/** Twelve digits: enough to tell revisions apart in a label, and stable wherever the directory lies. */
function hashFiles(source: PolicySource): string {
  const hash = createHash('sha256');
  for (const [file, bytes] of [...source.files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${file}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex').slice(0, 12);
}
