/** Documents that every run replays: those once read in two ways, and those made by hand to be. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Document } from './judge.ts';
import { requestTypes } from './ours.ts';

/** A file for each: the type of request, a dot, a name, `.body`. Its bytes are the body's. */
export const regressions = join(import.meta.dirname, 'regressions');

/** @throws Error for a file of a type that no route takes */
export async function loadKept(): Promise<ReadonlyArray<Document & { readonly name: string }>> {
  const names = (await readdir(regressions)).filter((name) => name.endsWith('.body')).sort();
  return Promise.all(
    names.map(async (name) => {
      const type = requestTypes.find((one) => name.startsWith(`${one}.`));
      if (type === undefined) throw new Error(`${name} is of a type of request that no route takes.`);
      return { name: name.slice(0, -'.body'.length), type, bytes: await readFile(join(regressions, name)) };
    }),
  );
}
