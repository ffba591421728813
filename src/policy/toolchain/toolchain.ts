/** Chooses how OPA's tool chain is run: the module of `opa/`, else an `opa` command, else a clear error. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { opaModuleFile } from '../../opa-module/module-file.ts';
import { failure } from './failure.ts';
import { createOpaToolchain } from './opa-cli.ts';
import type { Toolchain } from './protocol.ts';
import { createWasmToolchain } from './wasm-toolchain.ts';

export interface ToolchainOptions {
  /** Value of PATH, in which an `opa` is looked for if the module is not there. Undefined: nowhere. */
  readonly path: string | undefined;
  /** The module; by default the one that `npm run build:opa` makes. */
  readonly wasmFile?: string;
  /** Milliseconds without a call after which the child process ends; 10,000 by default. */
  readonly idleMs?: number;
  /** Milliseconds that one call may take; 30,000 by default. */
  readonly deadlineMs?: number;
}

/**
 * Starts nothing yet. Close it in the end.
 *
 * @returns a tool chain whose `kind` says what was found; with kind `none` every call rejects and says what to do
 */
export function createToolchain(options: ToolchainOptions): Toolchain {
  const wasmFile = options.wasmFile ?? opaModuleFile;
  const deadlineMs = options.deadlineMs ?? 30_000;
  if (existsSync(wasmFile)) return createWasmToolchain({ wasmFile, deadlineMs, idleMs: options.idleMs ?? 10_000 });
  const command = findCommand('opa', options.path);
  return command === undefined ? missingToolchain() : createOpaToolchain({ command, deadlineMs });
}

/** Relative entries of PATH are passed over: what runs must not depend on the working directory. */
function findCommand(name: string, path: string | undefined): string | undefined {
  const names = process.platform === 'win32' ? [`${name}.exe`] : [name];
  return (path ?? '')
    .split(delimiter)
    .filter((directory) => isAbsolute(directory))
    .flatMap((directory) => names.map((file) => join(directory, file)))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

function missingToolchain(): Toolchain {
  const refuse = () =>
    Promise.reject(
      failure(
        'toolchain_missing',
        'Rego needs OPA\'s tool chain, and opa/build/opa.wasm is not there: it is built by "npm ci", or ' +
          '"npm run build:opa", where Go 1.21 or newer is installed. Two other ways need no Go: put an "opa" command on the ' +
          'PATH (https://www.openpolicyagent.org/docs/#running-opa), or give policy.path a bundle that ' +
          '"opa build -t wasm" has made.',
      ),
    );
  return {
    kind: 'none',
    compile: refuse,
    check: refuse,
    findings: refuse,
    test: refuse,
    format: refuse,
    inspect: refuse,
    explain: refuse,
    close: () => Promise.resolve(),
  };
}
