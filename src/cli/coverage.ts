/** Coverage by line, as a table of files. */
import type { Coverage, RowRange } from '../policy/toolchain/protocol.ts';
import { paint, table } from './output.ts';

export function percent(value: number): string {
  // 99.96 must not read as if everything were covered.
  return `${(Math.floor(value * 10) / 10).toFixed(1)} %`;
}

export function printCoverage(coverage: Coverage): string {
  const files = Object.entries(coverage.files).sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = files.map(([file, each]) => [
    file,
    `${each.coveredLines}/${each.coveredLines + each.notCoveredLines}`,
    percent(each.percent),
    join(each.notCovered).map(range).join(', '),
  ]);
  const text = table(
    [['file', 'lines', 'covered', 'not covered'], ...rows, ['all files', '', percent(coverage.percent), '']],
    ['left', 'right', 'right', 'left'],
  );
  const [head = '', ...lines] = text.split('\n');
  return `\n${paint('bold', head)}\n${lines.join('\n')}`;
}

/** OPA lists each expression; people read runs of lines. */
function join(ranges: readonly RowRange[]): readonly RowRange[] {
  const joined: RowRange[] = [];
  for (const each of ranges) {
    const last = joined.at(-1);
    if (last !== undefined && each.start <= last.end + 1)
      joined[joined.length - 1] = { start: last.start, end: Math.max(last.end, each.end) };
    else joined.push(each);
  }
  return joined;
}

function range({ start, end }: RowRange): string {
  return start === end ? `${start}` : `${start}-${end}`;
}
