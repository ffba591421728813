/** Chooses how OPA's tool chain is run: the program of `opa/`, else its module, else an `opa` command, else a clear error. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { opaModuleFile, opaProgramFile } from '../../opa-module/module-file.ts';
import { createChildToolchain } from './child-toolchain.ts';
import { failure } from './failure.ts';
import { forkModule } from './fork-module.ts';
import { createOpaToolchain } from './opa-cli.ts';
import type { Toolchain } from './protocol.ts';
import { spawnNative } from './spawn-native.ts';

export interface ToolchainOptions {
  /** Value of PATH, in which an `opa` is looked for if neither program nor module is there. Undefined: nowhere. */
  readonly path: string | undefined;
  /** The module; by default the one that `npm run build:opa` makes. */
  readonly wasmFile?: string;
  /** The same as a program; by default the one that `npm run build:opa` makes, and none beside a module of one's own. */
  readonly programFile?: string | undefined;
  /** Whether its process lets others go before it, as beside a sidecar that serves; false by default. */
  readonly inBackground?: boolean;
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
  const { wasmFile = opaModuleFile, deadlineMs = 30_000, idleMs = 10_000, inBackground = false } = options;
  const programFile = options.programFile ?? (options.wasmFile === undefined ? opaProgramFile : undefined);
  const child = { deadlineMs, idleMs, inBackground };
  if (programFile !== undefined && isExecutable(programFile))
    return createChildToolchain('native', { ...child, start: () => spawnNative(programFile) });
  if (existsSync(wasmFile)) return createChildToolchain('wasm', { ...child, start: () => forkModule(wasmFile) });
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
    warmUp: () => undefined,
    close: () => Promise.resolve(),
  };
}
