/** The difference of two texts as `diff -u` writes it, so that `patch` and people's tools can read it. */
import { diff } from 'node:util';

const contextLines = 3;

interface Line {
  readonly mark: ' ' | '-' | '+';
  readonly text: string;
}

/** @returns an empty text where the two are equal */
export function unifiedDiff(name: string, before: string, after: string): string {
  if (before === after) return '';
  const lines = diff(split(before), split(after)).map(
    ([operation, text]): Line => ({ mark: operation === 0 ? ' ' : operation === 1 ? '-' : '+', text }),
  );
  const hunks = findHunks(lines).map((range) => printHunk(lines, range));
  return [`--- ${name}\n`, `+++ ${name}\n`, ...hunks].join('');
}

/** Each line with its line feed, so that a missing one at the end is a difference. */
function split(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

type Range = readonly [start: number, end: number];

function findHunks(lines: readonly Line[]): readonly Range[] {
  const hunks: Array<[number, number]> = [];
  for (const [at, { mark }] of lines.entries()) {
    if (mark === ' ') continue;
    const last = hunks.at(-1);
    const start = Math.max(0, at - contextLines);
    const end = Math.min(lines.length, at + 1 + contextLines);
    if (last !== undefined && start <= last[1]) last[1] = end;
    else hunks.push([start, end]);
  }
  return hunks;
}

function printHunk(lines: readonly Line[], [start, end]: Range): string {
  const count = (some: readonly Line[], other: Line['mark']): number =>
    some.filter(({ mark }) => mark !== other).length;
  const side = (other: Line['mark']): string => {
    const above = count(lines.slice(0, start), other);
    const own = count(lines.slice(start, end), other);
    // An empty side names the line before it.
    return `${own === 0 ? above : above + 1},${own}`;
  };
  const body = lines
    .slice(start, end)
    .map(({ mark, text }) => `${mark}${text.endsWith('\n') ? text : `${text}\n\\ No newline at end of file\n`}`);
  return [`@@ -${side('+')} +${side('-')} @@\n`, ...body].join('');
}
