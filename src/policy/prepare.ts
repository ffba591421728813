/**
 * From files to a policy that an engine can load: as far as the engine needs it, the tests of Rego passed. Whatever is wrong with it is found here, with
 * file and line, before it can decide anything.
 */
import { createHash } from 'node:crypto';
import type { SignatureConfig } from '../configured/policy.ts';
import { PolicyError } from '../errors.ts';
import type { EngineNeeds, PolicySet } from '../types.ts';
import { readReport } from './bundle-report.ts';
import { readInputSchema, schemasOf } from './input-schema.ts';
import { compiledLogRules, compileLogRules, type PreparedLogRules } from './log-rules.ts';
import { outlineData } from './outline.ts';
import { type PolicyFiles, type PolicySource, readPolicyFiles, readPolicySource } from './source.ts';
import type { Inspection, TestCase, Toolchain } from './toolchain/protocol.ts';

export interface PrepareOptions {
  readonly path: string;
  readonly entrypoint: string;
  readonly toolchain: Toolchain;
  /** What the engine needs; `wasm` by default. */
  readonly needs?: EngineNeeds;
  /** By whom a bundle must be signed, where it must. */
  readonly signature?: SignatureConfig | undefined;
  /** `false` where nothing is to be enforced: an author asks what a policy decides whose tests do not pass yet. */
  readonly runTests?: boolean;
  /** Whether Rego must fit the schema of the input. */
  readonly mustFitSchema?: boolean;
  /** Whether `data.system.log` is wanted, which says what of its decisions may be logged. */
  readonly logRules?: boolean | undefined;
}

export interface PreparedPolicy {
  readonly policy: PolicySet;
  readonly kind: PolicyFiles['kind'] | 'none';
  /** How many Rego tests ran; 0 where there is no Rego to test. */
  readonly testsPassed: number;
  readonly ignoredFiles: readonly string[];
  /** What part of `data` its bundle claims. */
  readonly roots?: readonly string[];
  /** What is no fault but should be known, as sentences. */
  readonly warnings?: readonly string[];
  /** Where they are wanted. */
  readonly logRules?: PreparedLogRules | undefined;
}

/** @throws PolicyError with every fault and its place */
export async function preparePolicy(options: PrepareOptions): Promise<PreparedPolicy> {
  const { path, entrypoint, needs = 'wasm' } = options;
  checkEntrypoint(entrypoint);
  const nothing = { ...emptyPolicy, entrypoints: [entrypoint] };
  switch (needs) {
    case 'none':
      return { policy: nothing, kind: 'none', testsPassed: 0, ignoredFiles: [] };
    case 'files': {
      const { kind, files, revision, roots } = await readPolicyFiles(path, options.signature);
      const policy = { ...nothing, revision: revision ?? hashFiles(files), files };
      return { policy, kind, roots, testsPassed: 0, ignoredFiles: [] };
    }
    case 'rego':
    case 'wasm':
      return prepareRego(options, needs);
  }
}

async function prepareRego(options: PrepareOptions, needs: 'rego' | 'wasm'): Promise<PreparedPolicy> {
  const { path, entrypoint, toolchain } = options;
  const source = await readPolicySource(path, { signature: options.signature });
  const { data, modules } = source;
  const revision = source.revision ?? hashFiles(source.files);
  const read = { ...emptyPolicy, revision, data, entrypoints: [entrypoint] };
  const rest = { kind: source.kind, ignoredFiles: source.ignored, roots: source.roots };

  if (needs === 'wasm' && source.wasm !== undefined) {
    // Without a report of what it reads a compiled bundle is given everything.
    const known = readReport(source.metadata, source.wasm);
    const policy = { ...read, wasm: source.wasm, ...(typeof known === 'object' && known) };
    const warnings = typeof known === 'string' ? [`${known}: it is given all of the input. Build it again.`] : [];
    return {
      ...rest,
      policy,
      testsPassed: 0,
      warnings,
      ...(options.logRules && { logRules: compiledLogRules(source) }),
    };
  }
  if (Object.keys(modules).length === 0) {
    throw new PolicyError(
      `The bundle ${path} holds no Rego. Build it again with its .rego files, or choose engine wasm.`,
    );
  }
  if (options.mustFitSchema === true) await checkTypes(source, toolchain);
  const testsPassed = options.runTests === false ? 0 : await runTests(source, toolchain);
  const outlined = { modules, data: outlineData(source) };
  if (needs === 'rego') {
    const inspection = await toolchain.inspect({ ...outlined, entrypoints: [entrypoint] });
    const policy = { ...read, modules: withoutTests(modules), ...describe(inspection) };
    return { ...rest, policy, testsPassed, ...(await findLogRules(inspection)) };
  }
  const { wasm, entrypoints, inspection } = await toolchain.compile({ ...outlined, entrypoints: [entrypoint] });
  const policy = { ...read, wasm, entrypoints, ...describe(inspection) };
  return { ...rest, policy, testsPassed, ...(await findLogRules(inspection)) };

  async function findLogRules(inspection: Inspection): Promise<Pick<PreparedPolicy, 'logRules'>> {
    if (options.logRules !== true) return {};
    return { logRules: await compileLogRules(source, inspection, toolchain) };
  }
}

/** Nothing is known of it, so it may read everything and its results are not remembered. */
const emptyPolicy: PolicySet = {
  revision: '',
  wasm: undefined,
  modules: {},
  files: new Map(),
  data: {},
  entrypoints: [],
  reads: { all: true, members: new Set() },
  shapes: new Map(),
  codes: new Set(),
  deterministic: false,
  builtins: undefined,
};

function withoutTests(modules: PolicySource['modules']): PolicySource['modules'] {
  return Object.fromEntries(Object.entries(modules).filter(([file]) => !isTest(file)));
}

function isTest(file: string): boolean {
  return file.endsWith('_test.rego');
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

async function checkTypes(source: PolicySource, toolchain: Toolchain): Promise<void> {
  const schemas = schemasOf(source.files, await readInputSchema());
  const { faults } = await toolchain.check({ modules: source.modules, data: outlineData(source), schemas });
  if (faults.length > 0)
    throw new PolicyError('The policy does not fit the schema of the input (policy.schema: strict).', faults);
}

/** @returns how many passed @throws PolicyError with those that don't */
export async function runTests(source: Pick<PolicySource, 'modules' | 'data'>, toolchain: Toolchain): Promise<number> {
  if (!Object.keys(source.modules).some(isTest)) return 0;
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

function describe(
  inspection: Inspection,
): Pick<PolicySet, 'reads' | 'shapes' | 'codes' | 'deterministic' | 'builtins'> {
  return {
    reads: { all: inspection.reads.all, members: new Set(inspection.reads.members) },
    shapes: new Map(Object.entries(inspection.shapes)),
    codes: new Set(inspection.codes),
    deterministic: inspection.nondeterministicBuiltins.length === 0,
    builtins: new Set(inspection.builtins),
  };
}

/** Twelve digits: enough to tell revisions apart in a label, and stable wherever the directory lies. */
export function hashFiles(files: PolicySource['files']): string {
  const hash = createHash('sha256');
  for (const [file, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${file}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex').slice(0, 12);
}
