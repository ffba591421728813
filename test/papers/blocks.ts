/** The shell blocks of the project's papers, and what the papers show below them. */
import { listPapers, readPaper } from '../docs/papers.ts';

export interface Block {
  readonly paper: string;
  readonly heading: string;
  /** What stands behind `test:` in a comment on the line before. */
  readonly mark: string | undefined;
  readonly text: string;
  /** By which a register names it: its first line. */
  readonly first: string;
  /** Lines that the paper says it prints; some of them, in their order. A block with another mark is somebody else's. */
  readonly shown: readonly string[];
  /** The same of what a command that it leaves running prints later. */
  readonly logged: readonly string[];
}

interface Fence {
  readonly heading: string;
  readonly mark: string | undefined;
  readonly language: string;
  readonly text: string;
}

const fencePattern =
  /^(?:<!-- test: (?<mark>[^\n]*?) ?-->\n)?```(?<language>\w*)\n(?<text>.*?)^```$|^#+ (?<heading>[^\n]*)$/gms;

function fencesOf(paper: string): readonly Fence[] {
  const fences: Fence[] = [];
  let heading = '';
  for (const { groups = {} } of readPaper(paper).matchAll(fencePattern)) {
    if (groups['heading'] !== undefined) heading = groups['heading'];
    else fences.push({ heading, mark: groups['mark'], language: groups['language'] ?? '', text: groups['text'] ?? '' });
  }
  return fences;
}

/** Every block marked `sh` of a paper, with the blocks marked `text` that follow it below the same heading. */
export function shellBlocks(paper: string): readonly Block[] {
  const fences = fencesOf(paper);
  return fences.flatMap((fence, index) => {
    if (fence.language !== 'sh') return [];
    const [shown, logged]: [string[], string[]] = [[], []];
    for (const { heading, mark, language, text } of fences.slice(index + 1)) {
      if (heading !== fence.heading || language !== 'text') break;
      const lines = text.split('\n').filter((line) => line !== '');
      // A line of the log may be broken in the paper.
      if (mark === 'log') logged.push(lines.map((line) => line.trim()).join(''));
      else if (mark === undefined || mark === 'output') shown.push(...lines);
    }
    const { heading, mark, text } = fence;
    return [{ paper, heading, mark, text, first: text.split('\n', 1)[0] ?? '', shown, logged }];
  });
}

/** Of all papers but the list of changes, which tells of the past. */
export async function allShellBlocks(): Promise<readonly Block[]> {
  return (await listPapers()).flatMap(shellBlocks);
}

/** Lines of commands; a backslash at the end joins two, and what goes into a file by `<<'END'` is none. */
export function commandLines(text: string): readonly string[] {
  return text
    .replace(/\\\n\s*/g, ' ')
    .replace(/(<<'(\w+)'.*\n)[\s\S]*?^\2$/gm, '$1')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** A fence that a shell's commands would hide in, or lines that are indented in its place. */
export function hiddenCommands(paper: string): readonly string[] {
  const text = readPaper(paper);
  const odd = fencesOf(paper).filter(({ language }) => ['', 'bash', 'shell', 'console', 'zsh'].includes(language));
  const indented = [...text.replace(/^```.*?^```$/gms, '').matchAll(/^\n {4}((?:[A-Z_]+=\S* )?[a-z][\w./-]+ .*)$/gm)];
  return [...odd.map(({ text: lines }) => lines), ...indented.map(([, line = '']) => line)];
}
