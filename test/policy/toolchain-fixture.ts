import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createWasmToolchain } from '../../src/policy/toolchain/wasm-toolchain.ts';

export const wasmFile = fileURLToPath(new URL('../../opa/build/opa.wasm', import.meta.url));

/** For `test(name, { skip })`: without Go there is no module to test, and `npm ci` has said so. */
export const noModule = existsSync(wasmFile) ? false : 'opa/build/opa.wasm is not built: Go 1.21 or newer is needed';

type Overrides = { readonly idleMs?: number; readonly deadlineMs?: number };

/** The real module in a real child process, ended with the test. */
export function startToolchain(t: { after(end: () => Promise<void>): void }, overrides: Overrides = {}) {
  const toolchain = createWasmToolchain({ wasmFile, idleMs: 10_000, deadlineMs: 30_000, ...overrides });
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
