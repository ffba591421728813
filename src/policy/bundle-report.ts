/**
 * What is known of a compiled policy, kept in its bundle's manifest (`metadata.opallama`): the module itself does not say
 * what it reads, and a sidecar that knows builds no content that nobody asks for.
 */
import { createHash } from 'node:crypto';

import { z } from 'zod';

import type { PolicySet } from '../types.ts';
import type { Inspection } from './toolchain/protocol.ts';

const texts = z.array(z.string());

const report = z.object({
  version: z.literal(1),
  /** SHA-256 of the `policy.wasm` that it describes, in hex. */
  wasm_sha256: z.string(),
  reads: z.strictObject({ all: z.boolean(), members: texts }),
  shapes: z.record(z.string(), z.enum(['rule', 'allow', 'deny_list', 'unknown'])),
  codes: texts,
  deterministic: z.boolean(),
  /** Later than the rest: a report without it does not say how long a rule may take. */
  builtins: texts.optional(),
  toolchain: z.string(),
});

type Known = Pick<PolicySet, 'reads' | 'shapes' | 'codes' | 'deterministic' | 'builtins'>;

/** @param toolchain its name and version, for people */
export function writeReport(wasm: Uint8Array, inspection: Inspection, toolchain: string): z.infer<typeof report> {
  const { reads, shapes, codes, builtins, nondeterministicBuiltins } = inspection;
  const known = {
    reads: { all: reads.all, members: new Set(reads.members) },
    shapes: new Map(Object.entries(shapes)),
    codes: new Set(codes),
    deterministic: nondeterministicBuiltins.length === 0,
    builtins: new Set(builtins),
  };
  return writeKnown(wasm, known, toolchain);
}

/** The report of a policy of which this much is known. */
export function writeKnown(wasm: Uint8Array, known: Known, toolchain: string): z.infer<typeof report> {
  const { reads, shapes, codes, deterministic, builtins } = known;
  return {
    version: 1,
    wasm_sha256: hash(wasm),
    reads: { all: reads.all, members: [...reads.members] },
    shapes: Object.fromEntries(shapes),
    codes: [...codes],
    deterministic,
    ...(builtins && { builtins: [...builtins] }),
    toolchain,
  };
}

/**
 * A report is believed only of the very module that it was made for: of another one it would keep from a rule the member
 * that it denies by.
 *
 * @param metadata of the bundle's manifest
 * @returns what is known; a text that says why nothing is, where there should be something; undefined without a report
 */
export function readReport(metadata: unknown, wasm: Uint8Array): Known | string | undefined {
  const found = z.object({ opallama: z.unknown() }).safeParse(metadata).data?.opallama;
  if (found === undefined) return undefined;
  const parsed = report.safeParse(found);
  if (!parsed.success) return 'The report on policy.wasm in the manifest of the bundle is not understood';
  if (parsed.data.wasm_sha256 !== hash(wasm))
    return 'The report in the manifest of the bundle is of another policy.wasm';
  const { reads, shapes, codes, deterministic, builtins } = parsed.data;
  return {
    reads: { all: reads.all, members: new Set(reads.members) },
    shapes: new Map(Object.entries(shapes)),
    codes: new Set(codes),
    deterministic,
    builtins: builtins && new Set(builtins),
  };
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
