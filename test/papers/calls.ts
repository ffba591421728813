/** Commands as papers write them, given to the parser of the command line without being run. */
import { Command } from 'commander';
import { environment } from '../../src/config/environment.ts';
import { commands } from '../../src/main.ts';
import { wordsOf } from '../support/commands-of.ts';

const ends = new Set(['|', '||', '&&', ';', '&', '>', '>>', '<', '2>']);

/** @returns of each call of `opallama` in a line of shell the words behind it; `npm start` is a call of the quick start */
export function opallamaCalls(line: string): readonly (readonly string[])[] {
  // What is substituted is a command of its own.
  const parted = line.replace(/\$\(|\)(?=["\s]|$)|;/g, ' ; ');
  const calls: string[][] = [];
  let isOpen = false;
  let former = '';
  for (const word of wordsOf(parted)) {
    const isStart = word === 'start' && former === 'npm';
    const begins = isStart || (word === 'opallama' && /^(?:|-s|run|[A-Z]\w*=.*)$/.test(ends.has(former) ? '' : former));
    former = word;
    if (ends.has(word)) isOpen = false;
    else if (isOpen) calls.at(-1)?.push(word);
    else if (begins) {
      isOpen = true;
      calls.push(isStart ? ['quickstart'] : []);
    }
  }
  const called = calls.map((words) => words.filter((word, index) => word !== '--' || index > 1));
  return called.filter((words) => words.length > 0);
}

async function registered(name: string): Promise<Command> {
  const register = await commands.get(name)?.();
  if (register === undefined) throw new Error(`there is no command ${name}`);
  const program = new Command('opallama');
  register(program, { environment: environment(), write: () => {} });
  for (const command of program.commands.flatMap((each) => [each, ...each.commands]))
    command
      .exitOverride()
      .configureOutput({ writeErr: () => {}, writeOut: () => {} })
      .action(() => {});
  return program;
}

/** @throws where the command line would refuse the call: an unknown option or value, an argument too many or too few */
export async function parseCall(words: readonly string[]): Promise<void> {
  const program = await registered(words[0] ?? '');
  await program.parseAsync([...words], { from: 'user' });
}

/**
 * A call in running text, which may leave things out.
 * @returns what of it is neither a command nor an option
 */
export async function unknownIn(words: readonly string[]): Promise<readonly string[]> {
  const [name = '', ...rest] = words;
  if (!commands.has(name)) return [name];
  const [command] = (await registered(name)).commands;
  const all = [command, ...(command?.commands ?? [])];
  const options = all.flatMap((each) => each?.options.flatMap(({ short, long }) => [short, long]) ?? []);
  const before = rest.indexOf('--');
  return rest
    .slice(0, before === -1 ? undefined : before)
    .filter((word) => /^--?[a-z]/.test(word) && !['--help', ...options].includes(word.split('=')[0]));
}
