/** The project's papers, read as the tests of this folder need them. */
import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** Every Markdown file of the project, relative to its root. */
export async function listPapers(): Promise<readonly string[]> {
  const papers: string[] = [];
  const exclude = (name: string) => /(?:^|\/)(?:node_modules|dist|\.git|\.cache|coverage)$/.test(name);
  for await (const file of glob('**/*.md', { cwd: root, exclude })) papers.push(file.replaceAll('\\', '/'));
  return papers.sort();
}

export function readPaper(name: string): string {
  return readFileSync(posix.join(root.replaceAll('\\', '/'), name), 'utf8');
}

/** The blocks behind a comment `<!-- test: <name> <rest> -->`, by the rest of the comment. */
export function markedBlocks(text: string, name: string): ReadonlyMap<string, string> {
  const pattern = new RegExp(`^<!-- test: ${name} ?(.*?) ?-->\\n\`\`\`\\w+\\n(.*?)^\`\`\`$`, 'gms');
  return new Map([...text.matchAll(pattern)].map(([, rest = '', block = '']) => [rest, block]));
}

/** The cells of the table rows below a heading, down to the next heading; the header and the line below it left out. */
export function tableRows(text: string, heading: string): readonly (readonly string[])[] {
  const [, section] = text.split(new RegExp(`^#+ ${heading}$`, 'm'));
  if (section === undefined) throw new Error(`There is no heading "${heading}".`);
  const lines = section.split(/^#+ /m, 1)[0]?.split('\n') ?? [];
  return lines
    .filter((line, index) => line.startsWith('|') && !isRule(line) && !isRule(lines[index + 1] ?? ''))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function isRule(line: string): boolean {
  return /^\|(?:-+\|)+$/.test(line);
}

/** What stands in code spans in a cell. */
export function codes(cell: string | undefined): readonly string[] {
  return [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}
