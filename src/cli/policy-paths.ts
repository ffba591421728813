/** Which policy a command works on: the paths that it is given, else what the configuration names. */
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';

import type { Command } from 'commander';

import type { Environment } from '../config/environment.ts';
import { loadPolicySection } from '../config/load.ts';
import type { PolicyConfig } from '../configured/policy.ts';
import { CallError, PolicyError, type PolicyFault } from '../errors.ts';
import { addLibrary } from '../policy/library.ts';
import { mergeData, type PolicySource, readPolicySource } from '../policy/source.ts';

export interface PolicyOptions {
  readonly config?: string;
  readonly entrypoint?: string;
}

export interface ChosenPolicy {
  /** As they are typed, or as the configuration names it, relative to the working directory. */
  readonly paths: readonly string[];
  readonly section: PolicyConfig;
  /** Whether a flag or the configuration named the entrypoint, or it is the default. */
  readonly entrypointNamed: boolean;
}

export function addPolicyOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'configuration file that names the policy, where no path is given')
    .option('--entrypoint <path>', 'package or rule that decides, as in ollama/authz');
}

/** With paths no configuration is read, unless `--config` names one. @throws ConfigError, CallError */
export function choosePolicy(paths: readonly string[], options: PolicyOptions, environment: Environment): ChosenPolicy {
  const alone = paths.length > 0 && options.config === undefined;
  const policies = loadPolicySection({
    env: alone ? {} : environment.env,
    cwd: environment.cwd,
    // Without a configuration there is none to be read either.
    readFile: alone ? notThere : environment.readFile,
    file: options.config,
    flags: [{ name: '--entrypoint', path: 'policy.entrypoint', value: options.entrypoint }],
  });
  const section = chooseSection(policies, paths, environment.cwd);
  const configured = relative(environment.cwd, section.path);
  const chosen = paths.length > 0 ? paths : [configured === '' ? '.' : configured];
  for (const path of chosen) {
    if (statSync(resolve(environment.cwd, path), { throwIfNoEntry: false }) === undefined)
      throw new CallError(`There is nothing at ${path}. Name a directory, a .rego file or a bundle.`);
  }
  return { paths: chosen, section, entrypointNamed: options.entrypoint !== undefined || !alone };
}

/** Of several policies the one whose path is given. */
function chooseSection(policies: readonly PolicyConfig[], paths: readonly string[], cwd: string): PolicyConfig {
  const [first, ...others] = policies;
  const meant =
    others.length === 0
      ? first
      : policies.find(({ path }) => paths.length === 1 && path === resolve(cwd, paths[0] ?? ''));
  if (meant !== undefined) return meant;
  const listed = policies.map(({ name, path }) => `${relative(cwd, path) || '.'} (${name})`).join(', ');
  throw new CallError(`The configuration names several policies. Give the path of one: ${listed}.`);
}

function notThere(path: string): never {
  throw Object.assign(new Error(`${path} is not read`), { code: 'ENOENT' });
}

/** A policy with the names that its files have for the person who typed the paths. */
export interface NamedPolicy extends Pick<PolicySource, 'modules' | 'data' | 'wasm' | 'files' | 'library'> {
  readonly kind: PolicySource['kind'];
  readonly revision: string | undefined;
  /** From a name in faults to the file's path. */
  display(file: string): string;
}

/**
 * Several paths are one policy, as they are for `opa`: their modules together, their data merged. Of one directory the
 * names are relative to it, as they are for `serve`.
 *
 * @param copies of files of opallama's library, as `readPolicySource` has it
 * @throws PolicyError whose faults name files as `display` does
 */
export async function readPolicy(
  paths: readonly string[],
  copies: 'dropped' | 'kept' = 'dropped',
): Promise<NamedPolicy> {
  const [first] = paths;
  if (first !== undefined && paths.length === 1 && !first.endsWith('.rego')) {
    const display = (file: string): string => join(first, file);
    const source = await readPolicySource(first, { copies }).catch((error: unknown) => {
      throw withNames(error, display);
    });
    return { ...source, display };
  }
  const data: Record<string, unknown> = {};
  const files = new Map<string, Uint8Array>();
  for (const path of paths) {
    if (path.endsWith('.rego')) {
      files.set(path, await readFile(path));
      continue;
    }
    const named = (file: string): string => join(path, file);
    const source = await readPolicySource(path, { copies: 'alone' }).catch((error: unknown) => {
      throw withNames(error, named);
    });
    if (source.wasm !== undefined && Object.keys(source.modules).length === 0)
      throw new PolicyError(`${path} holds only compiled policy, which can't be put together with other paths.`);
    for (const [file, bytes] of source.files) files.set(named(file), bytes);
    const clash = mergeData(data, source.data);
    if (clash !== undefined)
      throw new PolicyError(`data.${clash} is defined below ${path} and below another path too.`);
  }
  const whole = await addLibrary(files, copies);
  const rego = [...whole.files].filter(([file]) => file.endsWith('.rego'));
  const modules = Object.fromEntries(rego.map(([file, bytes]) => [file, Buffer.from(bytes).toString('utf8')]));
  const rest = { wasm: undefined, revision: undefined, display: (file: string) => file };
  return { kind: 'directory', modules, data, ...whole, ...rest };
}

function withNames(error: unknown, display: (file: string) => string): unknown {
  if (!(error instanceof PolicyError) || error.faults.length === 0) return error;
  return new PolicyError(error.message.split('\n', 1)[0] ?? '', displayed(error.faults, display), { cause: error });
}

export function displayed(faults: readonly PolicyFault[], display: (file: string) => string): PolicyFault[] {
  return faults.map((fault) => ({ ...fault, file: fault.file === undefined ? undefined : display(fault.file) }));
}
