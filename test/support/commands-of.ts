/** The commands of a paper's shell blocks, as words. */

/** @returns of each line in a block marked `sh` its words, comments left out; a backslash at the end joins lines */
export function commandsOf(text: string): readonly (readonly string[])[] {
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block = '']) =>
    block
      .replace(/\\\n\s*/g, ' ')
      .split('\n')
      .map(wordsOf)
      .filter((words) => words.length > 0),
  );
}

/** Words of a line as a shell would part them: blanks, quotes of both kinds, a comment behind `#`. No expansion. */
export function wordsOf(line: string): string[] {
  const words: string[] = [];
  for (const [, comment, ...parts] of line.matchAll(/(#.*)|((?:'[^']*'|"[^"]*"|[^\s'"])+)/g)) {
    if (comment !== undefined) break;
    words.push((parts[0] ?? '').replace(/'([^']*)'|"([^"]*)"/g, (_whole, single, double) => single ?? double));
  }
  return words;
}
