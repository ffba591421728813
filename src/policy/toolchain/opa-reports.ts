/** Reads what an `opa` command prints. */
import { z } from 'zod';
import type { PolicyFault } from '../../errors.ts';
import { failure } from './failure.ts';
import type { OpaOutput, Workshop } from './opa-command.ts';
import type { Annotation, Coverage, TestCase } from './protocol.ts';

export function fault(code: string, message: string): PolicyFault {
  return { code, message, file: undefined, row: undefined, column: undefined };
}

// Read as unknown and checked at once; what does not parse is the command's own complaint.
export function parseJson<T>(text: string, shape: z.ZodType<T>, output: OpaOutput): T {
  try {
    return shape.parse(JSON.parse(text));
  } catch (error) {
    throw failure('toolchain_failed', output.stderr.trim() || output.stdout.trim() || 'opa printed nothing', error);
  }
}

const report = z.object({
  errors: z.array(
    z.object({
      message: z.string(),
      code: z.string().optional(),
      location: z.object({ file: z.string(), row: z.number(), col: z.number() }).optional(),
    }),
  ),
});

export function faultsOf(output: OpaOutput, workshop: Workshop): readonly PolicyFault[] {
  if (output.succeeded) return [];
  const { errors } = parseJson(output.stdout.trim() || output.stderr, report, output);
  return errors.map(({ message, code, location }) => ({
    code: code ?? 'toolchain_failed',
    message,
    file: location === undefined ? undefined : workshop.given(location.file),
    row: location?.row,
    column: location?.col,
  }));
}

export const builtinTable = z.object({
  builtins: z.array(
    z.object({ name: z.string(), infix: z.string().optional(), nondeterministic: z.boolean().optional() }),
  ),
});

const annotationList = z.object({
  annotations: z
    .array(
      z.object({
        location: z.object({ file: z.string(), row: z.number() }),
        path: z.array(z.object({ value: z.unknown() })).optional(),
        annotations: z.object({
          scope: z.enum(['rule', 'document', 'package', 'subpackages']),
          title: z.string().optional(),
          description: z.string().optional(),
          entrypoint: z.boolean().optional(),
          custom: z.record(z.string(), z.unknown()).optional(),
        }),
      }),
    )
    .optional(),
});

/** The command tells where the annotated rule stands, so `row` is that one. */
export function annotationsOf(output: OpaOutput, workshop: Workshop): readonly Annotation[] {
  const { annotations } = parseJson(output.stdout, annotationList, output);
  return (annotations ?? []).map(
    ({ location, path, annotations: { scope, title, description, entrypoint, custom } }) => ({
      scope,
      path: (path ?? [])
        .slice(1)
        .map(({ value }) => String(value))
        .join('/'),
      file: workshop.given(location.file),
      row: location.row,
      ...(title === undefined ? {} : { title }),
      ...(description === undefined ? {} : { description }),
      entrypoint: entrypoint === true,
      custom: custom ?? {},
    }),
  );
}

const testReport = z
  .array(
    z.object({
      location: z.object({ file: z.string(), row: z.number(), col: z.number() }),
      package: z.string(),
      name: z.string(),
      fail: z.boolean().optional(),
      skip: z.boolean().optional(),
      error: z.object({ message: z.string() }).optional(),
      duration: z.number(),
      output: z.string().optional(),
    }),
  )
  .nullable();

export function testCases(output: OpaOutput, workshop: Workshop): readonly TestCase[] {
  // Nothing at all is printed where there is no test.
  const tests = output.succeeded && output.stdout.trim() === '' ? [] : parseJson(output.stdout, testReport, output);
  return (tests ?? [])
    .map(({ location, package: packageName, name, fail, skip, error, duration, output: printed }): TestCase => {
      const outcome = skip === true ? 'skip' : error !== undefined ? 'error' : fail === true ? 'fail' : 'pass';
      return {
        package: packageName,
        name,
        file: workshop.given(location.file),
        row: location.row,
        column: location.col,
        outcome,
        durationNs: duration,
        output: Buffer.from(printed ?? '', 'base64').toString('utf8'),
        ...(outcome === 'pass' || outcome === 'skip' ? {} : { message: error?.message ?? 'the test is not true' }),
      };
    })
    .sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.row - b.row));
}

const ranges = z
  .array(z.object({ start: z.object({ row: z.number() }), end: z.object({ row: z.number() }) }))
  .default([]);

const coverageReport = z.object({
  files: z.record(
    z.string(),
    z.object({
      covered: ranges,
      not_covered: ranges,
      covered_lines: z.number().default(0),
      not_covered_lines: z.number().default(0),
    }),
  ),
});

export function coverage(output: OpaOutput, workshop: Workshop): Coverage {
  const files = Object.entries(parseJson(output.stdout, coverageReport, output).files)
    .map(([file, each]) => [workshop.given(file), each] as const)
    .filter(([file]) => !file.endsWith('_test.rego'))
    .map(([file, each]) => {
      const { covered_lines: coveredLines, not_covered_lines: notCoveredLines } = each;
      const rows = (list: z.infer<typeof ranges>) => list.map(({ start, end }) => ({ start: start.row, end: end.row }));
      const percent = percentOf(coveredLines, notCoveredLines);
      return [
        file,
        { covered: rows(each.covered), notCovered: rows(each.not_covered), coveredLines, notCoveredLines, percent },
      ] as const;
    });
  const sum = (count: (file: Coverage['files'][string]) => number) =>
    files.reduce((total, [, file]) => total + count(file), 0);
  return {
    files: Object.fromEntries(files),
    percent: percentOf(
      sum((file) => file.coveredLines),
      sum((file) => file.notCoveredLines),
    ),
  };
}

function percentOf(hit: number, missed: number): number {
  return hit + missed === 0 ? 100 : (100 * hit) / (hit + missed);
}
