import { createPrivateKey, createSecretKey, type KeyObject } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';

import { type Command, Option } from 'commander';

import { errorCode } from '../config/keys.ts';
import type { PolicyConfig } from '../configured/policy.ts';
import { createEngine } from '../decision/engines/table.ts';
import { CallError, PolicyError } from '../errors.ts';
import { writeReport } from '../policy/bundle-report.ts';
import { logEntrypoints } from '../policy/log-rules.ts';
import { hashFiles, runTests } from '../policy/prepare.ts';
import { type Signing, signBundle, signingAlgorithms } from '../policy/sign-bundle.ts';
import type { Inspection, Toolchain } from '../policy/toolchain/protocol.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import { packBundle } from '../policy/write-bundle.ts';
import type { PolicySet } from '../types.ts';
import type { CliDeps } from './config-options.ts';
import { chooseEntrypoints } from './entrypoints.ts';
import { formatOption, paint, toJson } from './output.ts';
import {
  addPolicyOptions,
  choosePolicy,
  displayed,
  type NamedPolicy,
  type PolicyOptions,
  readPolicy,
} from './policy-paths.ts';

interface BuildOptions extends PolicyOptions {
  readonly output: string;
  readonly target: 'wasm' | 'rego';
  readonly revision?: string;
  /** False by `--no-test`. */
  readonly test: boolean;
  readonly signingKey?: string;
  readonly signingAlg: Signing['algorithm'];
  readonly claims?: string;
  readonly format: 'pretty' | 'json';
}

const examples = `
Examples:
  opallama build policies/                                  test, compile, write bundle.tar.gz
  opallama build policies/ -o authz.tar.gz --revision "$(git rev-parse HEAD)"
  opallama build policies/ --signing-key private.pem        sign it as opa does (RS256)
  opallama build policies/ --target rego                    no WebAssembly: for a remote OPA

Exit codes: 0; 1 a test that fails, a policy that does not compile; 2 a wrong call.`;

/** `opallama build`: a policy as one file that OPA and the sidecar load; the same bytes for the same policy. */
export function registerBuild(program: Command, deps: CliDeps): void {
  addPolicyOptions(program.command('build [path]'))
    .description('test a policy, compile it to WebAssembly and write a bundle')
    .option('-o, --output <file>', 'the bundle', 'bundle.tar.gz')
    .addOption(
      new Option('--target <target>', 'wasm: compiled, with its Rego beside; rego: the Rego alone')
        .choices(['wasm', 'rego'])
        .default('wasm'),
    )
    .option('--revision <text>', "the bundle's revision (default: a hash of the policy's files, as serve has it)")
    .option('--no-test', "build it even if the policy's tests fail")
    .option('--signing-key <file>', 'sign the bundle: a private key in PEM, or for HS256 a secret')
    .addOption(
      new Option('--signing-alg <algorithm>', 'algorithm of the signature').choices(signingAlgorithms).default('RS256'),
    )
    .option('--claims <file>', 'JSON with further claims of the signature, such as keyid and scope')
    .addOption(formatOption('pretty', 'json'))
    .addHelpText('after', examples)
    .action(async (path: string | undefined, options: BuildOptions) => {
      const chosen = choosePolicy(path === undefined ? [] : [path], options, deps.environment);
      const signing = await readSigning(options);
      const source = await readPolicy(chosen.paths);
      if (Object.keys(source.modules).length === 0)
        throw new CallError(`${chosen.paths.join(', ')} holds no Rego to build from.`);
      const toolchain = createToolchain({ path: deps.environment.env['PATH'] });
      const built = await build(source, chosen.section, chosen.entrypointNamed, options, toolchain)
        .catch((error: unknown) => {
          throw error instanceof PolicyError
            ? new PolicyError(error.message.split('\n', 1)[0] ?? '', displayed(error.faults, source.display), {
                cause: error,
              })
            : error;
        })
        .finally(() => toolchain.close());
      if (signing !== undefined) built.files.set('.signatures.json', sign(built.files, signing));
      const bytes = await packBundle(built.files);
      await replaceFile(options.output, bytes);
      deps.write(describe(built, bytes.length, options, signing));
    });
}

/** Whole or not at all: a sidecar may be about to read the old one. */
async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(`${path}.new`, bytes);
    await rename(`${path}.new`, path);
  } catch (error) {
    throw new CallError(
      `--output: ${path} can not be written${errorCode(error)}. Its directory must be there already.`,
    );
  }
}

interface Built {
  readonly files: Map<string, Uint8Array>;
  readonly revision: string;
  readonly entrypoints: readonly string[];
  /** Rules about decision logs, entrypoints of the module too. */
  readonly ofLogs: readonly string[];
  readonly inspection: Inspection;
  readonly testsPassed: number | undefined;
}

async function build(
  source: NamedPolicy,
  section: PolicyConfig,
  entrypointNamed: boolean,
  options: BuildOptions,
  toolchain: Toolchain,
): Promise<Built> {
  const { data } = source;
  const modules = Object.fromEntries(Object.entries(source.modules).filter(([file]) => !file.endsWith('_test.rego')));
  const testsPassed = options.test ? await runTests(source, toolchain) : undefined;
  const whole = await toolchain.inspect({ modules, data });
  const chosen = chooseEntrypoints(whole, section.entrypoint, entrypointNamed);
  // Without any the compiler is asked for the default, and says which there are.
  const entrypoints = chosen.length === 0 ? [section.entrypoint] : chosen;
  const revision = options.revision ?? source.revision ?? hashFiles(source.files);
  const files = new Map<string, Uint8Array>(
    Object.entries(modules).map(([file, text]) => [file.replace(/^(?:\.?\/)+/, ''), Buffer.from(text)]),
  );
  files.set('data.json', Buffer.from(`${JSON.stringify(data)}\n`));
  if (options.target === 'rego') {
    const inspection = await toolchain.inspect({ modules, data, entrypoints });
    files.set('.manifest', toManifest({ revision, roots: [''], rego_version: 1 }));
    return { files, revision, entrypoints, ofLogs: [], inspection, testsPassed };
  }
  // The rules about decision logs are asked of the same module. What they read is of events, and no part of the report.
  const ofLogs = Object.values(logEntrypoints).filter(
    (each) => whole.rules.includes(each) && !entrypoints.includes(each),
  );
  const { wasm, inspection: compiledOne } = await toolchain.compile({
    modules,
    data,
    entrypoints: [...entrypoints, ...ofLogs],
  });
  const inspection = ofLogs.length === 0 ? compiledOne : await toolchain.inspect({ modules, data, entrypoints });
  // What the module itself names: OPA compiles rules that depend on an entrypoint into one too.
  const compiled = await loadCompiled(wasm, data, entrypoints, section);
  files.set('policy.wasm', wasm);
  files.set(
    '.manifest',
    toManifest({
      revision,
      roots: [''],
      wasm: compiled.map((entrypoint) => ({ entrypoint, module: '/policy.wasm' })),
      rego_version: 1,
      metadata: { opallama: writeReport(wasm, inspection, `opa ${inspection.opaVersion ?? 'of unknown version'}`) },
    }),
  );
  return { files, revision, entrypoints, ofLogs, inspection, testsPassed };
}

/** @returns the entrypoints of the module @throws PolicyError where the sidecar could not run it */
async function loadCompiled(
  wasm: Uint8Array,
  data: PolicySet['data'],
  entrypoints: readonly string[],
  section: PolicyConfig,
): Promise<readonly string[]> {
  const engine = await createEngine({ ...section, engine: 'wasm' });
  const loaded = await engine.load({
    revision: '',
    wasm,
    modules: {},
    files: new Map(),
    data,
    entrypoints,
    reads: { all: true, members: new Set() },
    shapes: new Map(),
    codes: new Set(),
    deterministic: false,
  });
  await loaded.close();
  return [...loaded.entrypoints].sort();
}

function toManifest(manifest: Readonly<Record<string, unknown>>): Uint8Array {
  return Buffer.from(`${JSON.stringify(manifest)}\n`);
}

async function readSigning({
  signingKey,
  signingAlg: algorithm,
  claims: claimsFile,
}: BuildOptions): Promise<Signing | undefined> {
  if (signingKey === undefined) {
    if (claimsFile !== undefined)
      throw new CallError('--claims belongs to a signature. Name its key with --signing-key.');
    return undefined;
  }
  const bytes = await readFile(signingKey).catch(() => {
    throw new CallError(`--signing-key ${signingKey} can't be read. Name a file.`);
  });
  let key: KeyObject;
  try {
    key = algorithm.startsWith('HS') ? createSecretKey(bytes) : createPrivateKey(bytes);
  } catch {
    throw new CallError(
      `--signing-key ${signingKey} holds no private key in PEM that can be read without a passphrase.`,
    );
  }
  return { key, algorithm, claims: claimsFile === undefined ? {} : await readClaims(claimsFile) };
}

async function readClaims(file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    const claims: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof claims === 'object' && claims !== null && !Array.isArray(claims)) return { ...claims };
  } catch {
    // Said below, whatever the reason is.
  }
  throw new CallError(`--claims ${file} must be a file with one JSON object.`);
}

function sign(files: ReadonlyMap<string, Uint8Array>, signing: Signing): Uint8Array {
  try {
    return signBundle(files, signing);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CallError(`The key does not fit ${signing.algorithm}: ${why}. Choose another --signing-alg.`);
  }
}

function describe(built: Built, bytes: number, options: BuildOptions, signing: Signing | undefined): string {
  const { inspection, entrypoints, ofLogs, revision, testsPassed } = built;
  const { reads, shapes, codes, nondeterministicBuiltins } = inspection;
  if (options.format === 'json') {
    return toJson({
      output: options.output,
      target: options.target,
      revision,
      bytes,
      entrypoints: entrypoints.map((name) => ({ name, shape: shapes[name] ?? 'unknown' })),
      tests_passed: testsPassed ?? null,
      reads: { all: reads.all, members: reads.members },
      codes,
      deterministic: nondeterministicBuiltins.length === 0,
      signed: signing?.algorithm ?? null,
    });
  }
  return [
    `${paint('bold', options.output)}: ${(bytes / 1024).toFixed(0)} KiB, revision ${revision}\n`,
    ...entrypoints.map((name) => `  entrypoint  ${name} (${shapes[name] ?? 'unknown'})\n`),
    ...ofLogs.map((name) => `  of logs     ${name}\n`),
    `  tests       ${testsPassed === undefined ? paint('yellow', 'not run') : `${testsPassed} passed`}\n`,
    `  reads       ${reads.all ? 'everything' : reads.members.map((member) => `input.${member}`).join(', ') || 'nothing of the input'}\n`,
    `  signature   ${signing === undefined ? 'none' : signing.algorithm}\n`,
  ].join('');
}
