/**
 * Checks the shipped policies as CI wants them: formatted, type-checked against the input's schema, tested, every line
 * covered. Uses OPA's own tool chain as the sidecar does. `--write` formats in place.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { formatFault } from '../src/errors.ts';
import { readPolicySource } from '../src/policy/source.ts';
import { createToolchain } from '../src/policy/toolchain/toolchain.ts';

const policies = fileURLToPath(new URL('../policies/', import.meta.url));
const write = process.argv.includes('--write');

const { modules, data } = await readPolicySource(policies, { copies: 'kept' });
const input: unknown = JSON.parse(await readFile(join(policies, 'schemas/input.json'), 'utf8'));
const toolchain = createToolchain({ path: process.env['PATH'] });
const problems: string[] = [];
try {
  const formatted = await toolchain.format({ modules });
  problems.push(...formatted.faults.map(formatFault));
  for (const file of formatted.changed) {
    if (write) await writeFile(join(policies, file), formatted.modules[file] ?? '');
    else problems.push(`${file}: not formatted. Run "npm run rego -- --write".`);
  }

  const checked = await toolchain.check({ modules, data, schemas: { input, named: { input } } });
  problems.push(...checked.faults.map(formatFault));

  const tested = await toolchain.test({ modules, data, coverage: true });
  const failed = tested.cases.filter(({ outcome }) => outcome !== 'pass');
  problems.push(
    ...failed.map((test) => `${test.file}:${test.row}: ${test.name}: ${test.outcome}. ${test.message ?? ''}`),
  );
  for (const [file, coverage] of Object.entries(tested.coverage?.files ?? {})) {
    for (const { start, end } of coverage.notCovered)
      problems.push(`${file}:${start}: lines ${start} to ${end} are covered by no test`);
  }
  if (tested.coverage === undefined) problems.push('no coverage was reported');
  const passed = tested.cases.length - failed.length;
  process.stdout.write(
    `Rego: ${Object.keys(modules).length} files, ${passed} tests passed, ${tested.coverage?.percent ?? 0} % covered\n`,
  );
} finally {
  await toolchain.close();
}
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.exitCode = problems.length > 0 ? 1 : 0;
