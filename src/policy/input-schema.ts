/** The schemas that Rego is checked against: the input as the sidecar builds it, and what the policy brings itself. */
import { readFile } from 'node:fs/promises';
import type { TypeSchemas } from './toolchain/protocol.ts';

/** The same place seen from `src/` and from `dist/`. */
const shipped = new URL('../../policies/schemas/input.json', import.meta.url);

/** The shipped one, whatever the policy brings: it says what will be there. */
export async function readInputSchema(): Promise<unknown> {
  return JSON.parse(await readFile(shipped, 'utf8'));
}

/** @param files of the policy; those in its directory `schemas` have names in METADATA (`schema.<name>`), as for opa */
export function schemasOf(files: ReadonlyMap<string, Uint8Array>, input: unknown): TypeSchemas {
  const named: Record<string, unknown> = {};
  for (const [file, bytes] of files) {
    const name = /(?:^|\/)schemas\/([^/]+)\.json$/.exec(file)?.[1];
    if (name !== undefined) named[name] = readJson(bytes);
  }
  return { input, named: { ...named, input } };
}

/** Of the same names, but fitting everything: METADATA that names one still finds it. */
export function openSchemas({ named = {} }: TypeSchemas): TypeSchemas {
  return { named: Object.fromEntries(Object.keys(named).map((name) => [name, {}])) };
}

/** What is no JSON is no schema; OPA says so where METADATA names it. */
function readJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
