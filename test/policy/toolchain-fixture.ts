import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { opaProgramFile } from '../../src/opa-module/module-file.ts';
import { createChildToolchain } from '../../src/policy/toolchain/child-toolchain.ts';
import { forkModule } from '../../src/policy/toolchain/fork-module.ts';
import { spawnNative } from '../../src/policy/toolchain/spawn-native.ts';

export type Kind = 'wasm' | 'native';

export const wasmFile = fileURLToPath(new URL('../../opa/build/opa.wasm', import.meta.url));

/** For `test(name, { skip })`: without Go there is no module to test, and `npm ci` has said so. */
export const noModule = existsSync(wasmFile) ? false : 'opa/build/opa.wasm is not built: Go 1.21 or newer is needed';

/** Built beside it, but where the system has no way to shut a process off. */
export const noProgram =
  noModule ||
  (existsSync(opaProgramFile)
    ? false
    : `${opaProgramFile} is not built: it is for Linux and macOS, with Go 1.21 or newer`);

export const missing: Readonly<Record<Kind, string | false>> = { wasm: noModule, native: noProgram };

type Overrides = {
  readonly kind?: Kind;
  readonly idleMs?: number;
  readonly deadlineMs?: number;
  readonly inBackground?: boolean;
};

/** The real module, or the real program, in a real child process, ended with the test. */
export function startToolchain(
  t: { after(end: () => Promise<void>): void },
  { kind = 'wasm', ...overrides }: Overrides = {},
) {
  const start = kind === 'wasm' ? () => forkModule(wasmFile) : () => spawnNative(opaProgramFile);
  const options = { start, idleMs: 10_000, deadlineMs: 120_000, inBackground: false };
  const toolchain = createChildToolchain(kind, { ...options, ...overrides });
  t.after(() => toolchain.close());
  return toolchain;
}

/** An existing policy as other systems have it: a lone deny-list, a set literal, no import. */
export const denyList = `package behavry.authz

deny if {
	blocked := {"llama3.2", "mistral"}
	blocked[input.model]
	input.mcp_server == "ollama-proxy"
	input.agent_role == "intern"
}
`;
