/** OPA's conformance cases, read from OPA's Go module by its own loader (`opa/cases`). None of them is kept here. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';

import { parseExactJson } from '../../src/exact-json.ts';

const opaFolder = fileURLToPath(new URL('../../opa/', import.meta.url));
const run = promisify(execFile);

const json = z.unknown();
const shape = z.object({
  note: z.string(),
  file: z.string(),
  query: z.string(),
  modules: z.array(z.string()).default([]),
  data: z.record(z.string(), json).default({}),
  input: json.optional(),
  has_input: z.boolean(),
  input_is_no_json: z.boolean(),
  term_input: json.optional(),
  want_result: z.array(z.record(z.string(), json)).optional(),
  want_error_code: z.string().optional(),
  want_error: z.string().optional(),
  strict_error: z.boolean().default(false),
  sort_bindings: z.boolean().default(false),
  env: z.record(z.string(), z.string()).optional(),
});

export type Case = z.infer<typeof shape>;

/** Notes alone are not unique. */
export function nameOf({ file, note }: Case): string {
  return `${file}: ${note}`;
}

/** @returns the cases in order of their notes */
export async function readCases(): Promise<readonly Case[]> {
  const { stdout: directory } = await run('go', ['list', '-m', '-f', '{{.Dir}}', 'github.com/open-policy-agent/opa'], {
    cwd: opaFolder,
  });
  const { stdout } = await run('go', ['run', './cases', join(directory.trim(), 'v1/test/cases/testdata/v1')], {
    cwd: opaFolder,
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => shape.parse(parseExactJson(line)));
}

/** What the input is as a document; undefined where there is none. */
export function inputOf(test: Case): unknown {
  if (!test.has_input) return undefined;
  // OPA's own runner prefers the term.
  return test.term_input ?? test.input;
}
