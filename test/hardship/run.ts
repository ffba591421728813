/**
 * `npm run test:hardship`: every hardship, then one table of the figures. Words behind it choose files: `-- machine upstream`.
 * Ends with 1 where a figure is over its limit, or a test fails for another reason.
 */
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

import { type Figure, figuresVariable, isHeld, show } from './figures.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const chosen = process.argv.slice(2);
const files = globSync('*.hardship.ts', { cwd: here })
  // It lasts an hour: npm run test:soak.
  .filter((file) => file !== 'soak.hardship.ts')
  .filter((file) => chosen.length === 0 || chosen.includes(basename(file, '.hardship.ts')))
  .toSorted()
  .map((file) => join(here, file));
const directory = await mkdtemp(join(tmpdir(), 'opallama-hardship-'));
const written = join(directory, 'figures');
process.env[figuresVariable] = written;

// One behind the other: they measure.
const tests = run({ files, concurrency: false, timeout: 300_000 });
let failed = files.length === 0;
tests.on('test:fail', () => {
  failed = true;
});
const report = tests.compose(spec);
report.pipe(process.stdout, { end: false });
await once(report, 'end');

const lines = (await readFile(written, 'utf8').catch(() => '')).trimEnd().split('\n').filter(Boolean);
await rm(directory, { recursive: true, maxRetries: 10 });
const figures = lines.map((line): Figure => {
  const { value, ...figure } = JSON.parse(line);
  return { ...figure, value: Number(value) };
});
const rows = figures.map((figure) => [
  figure.what,
  `${show(figure.value)} ${figure.unit}`.trimEnd(),
  `${show(figure.limit)} ${figure.unit}`.trimEnd(),
  isHeld(figure) ? 'held' : 'MISSED',
]);
const table = [['figure', 'measured', 'at most', ''], ...rows];
const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
for (const row of table) console.log(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
const missed = figures.filter((figure) => !isHeld(figure)).length;
console.log(`\n${figures.length} figures, ${missed} missed`);
process.exitCode = failed || missed > 0 ? 1 : 0;
