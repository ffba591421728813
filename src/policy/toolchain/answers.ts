/** The shapes of what the module answers, checked once where it enters. Their meaning: `protocol.ts`. */
import { z } from 'zod';
import type {
  CheckResult,
  CompileResult,
  Explanation,
  FindingsResult,
  FormatResult,
  Inspection,
  TestResult,
} from './protocol.ts';

const texts = z.array(z.string());

const fault = z
  .object({
    code: z.string(),
    message: z.string(),
    file: z.string().optional(),
    row: z.number().optional(),
    column: z.number().optional(),
  })
  .transform(({ code, message, file, row, column }) => ({ code, message, file, row, column }));

const rows = z.array(z.object({ start: z.number(), end: z.number() }));

export const inspection: z.ZodType<Inspection> = z.object({
  opaVersion: z.exactOptional(z.string()),
  reads: z.object({ all: z.boolean(), members: texts }),
  shapes: z.record(z.string(), z.enum(['rule', 'allow', 'deny_list', 'unknown'])),
  packages: texts,
  rules: texts,
  declaredEntrypoints: texts,
  codes: texts,
  annotations: z.array(
    z.object({
      scope: z.enum(['rule', 'document', 'package', 'subpackages']),
      path: z.string(),
      file: z.string(),
      row: z.number(),
      title: z.exactOptional(z.string()),
      description: z.exactOptional(z.string()),
      entrypoint: z.boolean(),
      custom: z.record(z.string(), z.unknown()),
    }),
  ),
  builtins: texts,
  nondeterministicBuiltins: texts,
});

export const compileResult: z.ZodType<Omit<CompileResult, 'wasm'>> = z.object({ entrypoints: texts, inspection });

export const checkResult: z.ZodType<CheckResult> = z.object({ faults: z.array(fault) });

export const findingsResult: z.ZodType<FindingsResult> = z.object({ findings: z.array(fault) });

export const testResult: z.ZodType<TestResult> = z.object({
  passed: z.boolean(),
  cases: z.array(
    z.object({
      package: z.string(),
      name: z.string(),
      file: z.string(),
      row: z.number(),
      column: z.number(),
      outcome: z.enum(['pass', 'fail', 'error', 'skip']),
      durationNs: z.number(),
      output: z.string(),
      message: z.exactOptional(z.string()),
      failedAt: z.exactOptional(z.object({ row: z.number(), text: z.string() })),
    }),
  ),
  coverage: z.exactOptional(
    z.object({
      files: z.record(
        z.string(),
        z.object({
          covered: rows,
          notCovered: rows,
          coveredLines: z.number(),
          notCoveredLines: z.number(),
          percent: z.number(),
        }),
      ),
      percent: z.number(),
    }),
  ),
});

export const formatResult: z.ZodType<FormatResult> = z.object({
  modules: z.record(z.string(), z.string()),
  changed: texts,
  faults: z.array(fault),
});

const shown = {
  value: z.unknown().optional(),
  cut: z.exactOptional(z.string()),
  undefined: z.exactOptional(z.boolean()),
  hidden: z.exactOptional(z.boolean()),
};
const bindings = z.array(z.object({ name: z.string(), ...shown }));
const counts = z.array(z.number());

export const explanation: z.ZodType<Explanation> = z.object({
  defined: z.boolean(),
  result: z.unknown().optional(),
  error: z.exactOptional(z.string()),
  rules: z.array(
    z.object({
      path: z.string(),
      file: z.string(),
      row: z.number(),
      column: z.number(),
      text: z.string(),
      function: z.boolean(),
      default: z.boolean(),
      asked: z.number(),
      held: z.number(),
      hidden: z.boolean(),
    }),
  ),
  evaluations: z.array(
    z.object({
      rule: z.number(),
      held: z.boolean(),
      values: z.array(z.object(shown)),
      bindings,
      failures: z.array(
        z.object({
          file: z.string(),
          row: z.number(),
          column: z.number(),
          text: z.string(),
          bindings,
          calls: counts,
        }),
      ),
    }),
  ),
  cut: z.boolean(),
  trace: z.exactOptional(z.string()),
});

/** What every command answers: a result, or why there is none. */
export const answer = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), result: z.unknown() }),
  z.object({ ok: z.literal(false), faults: z.array(fault) }),
]);
