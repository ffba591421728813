/** The latest lines of the log, for whoever asks what happened once it has. */
export interface RecentLines {
  add(line: string): void;
  /** The oldest first. */
  list(): readonly string[];
}

const mostLines = 2000;
const mostCharacters = 1024 * 1024;

export function createRecentLines(): RecentLines {
  const lines: string[] = [];
  let characters = 0;

  return {
    add(line) {
      lines.push(line);
      characters += line.length;
      while (lines.length > mostLines || (characters > mostCharacters && lines.length > 1))
        characters -= lines.shift()?.length ?? 0;
    },
    list: () => lines,
  };
}
