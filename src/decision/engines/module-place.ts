import { spawnSync } from 'node:child_process';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

import type { PolicyFault } from '../../errors.ts';

type Place = Pick<PolicyFault, 'file' | 'row' | 'column'>;

/**
 * Where an error of a module was thrown: the first place in its stack that is not in Node.
 *
 * @param last the file that was read last: where the stack names none, the error is there
 */
export function findPlace(thrown: unknown, directory: string, last: string): Place {
  const stack = stripVTControlCharacters(thrown instanceof Error ? (thrown.stack ?? '') : '');
  const [, url, path, row, column] =
    /(?:(file:\/\/[^\s()]+?)|^(\/[^\n]+?)):(\d+)(?::(\d+))?(?=[)\s]|$)/m.exec(stack) ?? [];
  const file = url === undefined ? path : fileURLToPath(url);
  if (file === undefined) return { file: relative(directory, last), ...findSlip(thrown, last) };
  return {
    file: relative(directory, file),
    row: Number(row),
    column: column === undefined ? undefined : Number(column),
  };
}

/** Node keeps the place of a slip of syntax to itself, and prints it when asked to check the file: line, text, carets. */
function findSlip(thrown: unknown, file: string): Pick<Place, 'row' | 'column'> {
  if (!(thrown instanceof SyntaxError)) return { row: undefined, column: undefined };
  const { stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8', env: {}, timeout: 5000 });
  const [, row, carets] = /^[^\n]*:(\d+)\n[^\n]*\n( *)\^/.exec(stderr) ?? [];
  return {
    row: row === undefined ? undefined : Number(row),
    column: carets === undefined ? undefined : carets.length + 1,
  };
}
