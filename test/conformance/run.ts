/**
 * Runs OPA's conformance suite through compile and engine as the sidecar uses them. A case passes, or stands in
 * `listed.json` with its reason; one that is listed and passes is a fault of the list.
 *
 *     npm run test:conformance                      all of it, one or two minutes
 *     npm run test:conformance -- --only regexsplit cases whose file or note holds the text
 *     npm run test:conformance -- --verbose         what each listed case came to
 *     npm run test:conformance -- --list <file>     another list
 */
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { z } from 'zod';

import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import { type Case, nameOf, readCases } from './cases.ts';
import { evaluateCase, type Verdict } from './evaluate.ts';

const { values: options } = parseArgs({
  options: { only: { type: 'string' }, verbose: { type: 'boolean', default: false }, list: { type: 'string' } },
});

const listShape = z.array(z.object({ reason: z.string(), cases: z.array(z.string()) }));
const list = listShape.parse(
  JSON.parse(await readFile(options.list ?? new URL('listed.json', import.meta.url), 'utf8')),
);
const reasons = new Map(list.flatMap(({ reason, cases }) => cases.map((name) => [name, reason])));

const all = await readCases();
const { only } = options;
const chosen = only === undefined ? all : all.filter(({ file, note }) => file.includes(only) || note.includes(only));

const verdicts = new Map<Case, Verdict>();
const queue = chosen.values();
await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, work));

/** A tool chain of its own: each is a process that compiles one policy at a time. */
async function work(): Promise<void> {
  const toolchain = createToolchain({ path: undefined });
  try {
    for (const test of queue) verdicts.set(test, await evaluateCase(test, toolchain));
  } finally {
    await toolchain.close();
  }
}

const counts = { passed: 0, listed: 0, failed: 0 };
const ways = new Map<string, number>();
for (const [test, verdict] of verdicts) {
  const reason = reasons.get(nameOf(test));
  if (verdict.passed && reason === undefined) {
    counts.passed += 1;
    ways.set(verdict.how, (ways.get(verdict.how) ?? 0) + 1);
  } else if (!verdict.passed && reason !== undefined) {
    counts.listed += 1;
    if (options.verbose) console.log(`listed: ${nameOf(test)}: ${verdict.why}`);
  } else {
    counts.failed += 1;
    const why = verdict.passed ? 'is listed, and passes' : verdict.why;
    console.log(`failed: ${nameOf(test)}: ${why}`);
  }
}
const names = new Set(all.map(nameOf));
for (const name of reasons.keys()) {
  if (names.has(name)) continue;
  counts.failed += 1;
  console.log(`failed: ${name}: is listed, and is no case`);
}

for (const [how, count] of ways) console.log(`${count} by ${how}`);
console.log(`${counts.passed} passed, ${counts.listed} listed, ${counts.failed} failed`);
if (counts.failed > 0 || counts.passed === 0) process.exitCode = 1;
