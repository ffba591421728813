/** `data.system.log.mask` and `drop`: what a policy says of the log of its decisions, compiled apart from what decides. */
import { z } from 'zod';

import { outlineData } from './outline.ts';
import type { PolicySource } from './source.ts';
import type { Inspection, Toolchain } from './toolchain/protocol.ts';

/** As entrypoints. */
export const logEntrypoints = { drop: 'system/log/drop', mask: 'system/log/mask' } as const;
export type LogRule = keyof typeof logEntrypoints;
const logRules = ['drop', 'mask'] as const satisfies readonly LogRule[];

export interface PreparedLogRules {
  /** Undefined where no rule is Rego. */
  readonly wasm: Uint8Array | undefined;
  /** Rules that the module has. */
  readonly rules: readonly LogRule[];
  /** The module is the one that decides, of a compiled bundle: it has those of the rules that are its entrypoints. */
  readonly ofBundle?: { readonly written: ReadonlyArray<readonly [LogRule, file: string]> } | undefined;
  /** It is not known what the rules are: nothing may be logged. */
  readonly isUnknown?: boolean;
  /** What data says in the place of a rule. */
  readonly constants: Readonly<Partial<Record<LogRule, unknown>>>;
}

/**
 * @param inspection of the same modules
 * @throws PolicyError
 */
export async function compileLogRules(
  source: Pick<PolicySource, 'modules' | 'data' | 'files'>,
  { rules: all }: Pick<Inspection, 'rules'>,
  toolchain: Toolchain,
): Promise<PreparedLogRules> {
  const rules = logRules.filter((rule) => all.includes(logEntrypoints[rule]));
  const constants = readConstants(source.data);
  if (rules.length === 0) return { wasm: undefined, rules, constants };
  const entrypoints = rules.map((rule) => logEntrypoints[rule]);
  const { wasm } = await toolchain.compile({ modules: source.modules, data: outlineData(source), entrypoints });
  return { wasm, rules, constants };
}

const keptReport = z.object({
  opallama_kept: z.object({
    log_rules: z.object({
      rules: z.array(z.enum(logRules)),
      constants: z.partialRecord(z.enum(logRules), z.unknown()),
      is_unknown: z.boolean().optional(),
    }),
  }),
});

/** Where a kept policy has the module of its rules. */
export const keptModule = 'log_rules.wasm';

/** For the manifest of a kept policy, where it was looked for them. */
export function reportLogRules({ rules, constants, isUnknown }: PreparedLogRules): unknown {
  return { rules, constants, is_unknown: isUnknown };
}

/** Those of a compiled bundle are entrypoints of its module, or nobody can ask them. A kept one has them beside it. */
export function compiledLogRules({ modules, data, wasm, metadata, files }: PolicySource): PreparedLogRules {
  if (z.object({ opallama_kept: z.unknown() }).safeParse(metadata).data?.opallama_kept !== undefined) {
    const kept = keptReport.safeParse(metadata).data?.opallama_kept.log_rules;
    const module = files.get(keptModule);
    const isWhole = kept !== undefined && (kept.rules.length === 0 || module !== undefined);
    if (!isWhole || kept.is_unknown === true) return { wasm: undefined, rules: [], constants: {}, isUnknown: true };
    return { wasm: module, rules: kept.rules, constants: kept.constants };
  }
  const ours = Object.entries(modules).filter(
    ([file, text]) => !file.endsWith('_test.rego') && /^\s*package\s+system\b/m.test(text),
  );
  const written = logRules.flatMap((rule) =>
    ours.filter(([, text]) => new RegExp(`\\b${rule}\\b`).test(text)).map(([file]) => [rule, file] as const),
  );
  return { wasm, rules: logRules, ofBundle: { written }, constants: readConstants(data) };
}

function readConstants(data: PolicySource['data']): PreparedLogRules['constants'] {
  const { log } = Object(data['system']);
  const constants: Partial<Record<LogRule, unknown>> = {};
  for (const rule of logRules) {
    const value: unknown = Object(log)[rule];
    if (value !== undefined) constants[rule] = value;
  }
  return constants;
}
