/**
 * The library of Rego that ships with the sidecar (`policies/lib`, packages `opallama.lib.<name>`). A policy imports what it
 * wants of it and copies nothing: those modules, and no others, are put beside its own, and count for its revision.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { PolicyError, type PolicyFault } from '../errors.ts';

type Files = ReadonlyMap<string, Uint8Array>;

/** The same place seen from `src/` and from `dist/`. */
const directory = fileURLToPath(new URL('../../policies/lib/', import.meta.url));

/** Where a module of the library stands among the files of a policy. */
const placeOf = (name: string) => `opallama/lib/${name}.rego`;

interface Shipped {
  /** By the last part of the package. */
  readonly modules: ReadonlyMap<string, Uint8Array>;
  /** All files, tests too, for finding copies of them. */
  readonly texts: ReadonlySet<string>;
}

export interface WithLibrary {
  readonly files: Files;
  /** Which of the files are the library's. */
  readonly library: readonly string[];
}

/**
 * A package of the library that the policy defines itself is its own affair, and used in the library's place. Files that are
 * the library's to the last byte are no such thing, unless `copies` are kept: `policies/` as it is shipped holds all of it and
 * imports none, and what decides should neither test nor read for what it does not use.
 *
 * @returns the policy's files with what they import of the library
 * @throws PolicyError for an import of a package that is not there: what it should have said would just be undefined
 */
export async function addLibrary(files: Files, copies: 'dropped' | 'kept' = 'dropped'): Promise<WithLibrary> {
  if (!regoOf(files).some(([, text]) => text.includes('opallama'))) return { files, library: [] };
  const shipped = await readShipped();
  const isCopy = (file: string, bytes: Uint8Array) => file.endsWith('.rego') && shipped.texts.has(textOf(bytes));
  const own = copies === 'kept' ? files : new Map([...files].filter(([file, bytes]) => !isCopy(file, bytes)));
  const defined = new Set(regoOf(own).map(([, text]) => packageOf(text)));

  const faults: PolicyFault[] = [];
  const wanted = new Map<string, Uint8Array>();
  const follow = (file: string, text: string): void => {
    for (const { name, row } of mentionsOf(text)) {
      for (const one of name === undefined ? shipped.modules.keys() : [name]) {
        if (defined.has(one) || wanted.has(one)) continue;
        const bytes = shipped.modules.get(one);
        if (bytes === undefined) faults.push(unknownPackage(file, row, one, shipped));
        else {
          wanted.set(one, bytes);
          follow(placeOf(one), textOf(bytes));
        }
      }
    }
  };
  for (const [file, text] of regoOf(own)) follow(file, text);
  if (faults.length > 0) throw new PolicyError("The policy imports what opallama's library does not have.", faults);

  const library = [...wanted.keys()].sort().map(placeOf);
  for (const file of library.filter((place) => own.has(place)))
    throw new PolicyError(`The policy's file ${file} stands where the library's would. Give it another name.`);
  return { files: new Map([...own, ...[...wanted].map(([name, bytes]) => [placeOf(name), bytes] as const)]), library };
}

let shippedOnce: Promise<Shipped> | undefined;

function readShipped(): Promise<Shipped> {
  shippedOnce ??= readLibrary();
  return shippedOnce;
}

async function readLibrary(): Promise<Shipped> {
  const modules = new Map<string, Uint8Array>();
  const texts = new Set<string>();
  const names = await readdir(directory).catch((cause: unknown) => {
    throw new PolicyError("opallama's library is not there. Install opallama again.", [], { cause });
  });
  for (const name of names) {
    const bytes = await readFile(join(directory, name, `${name}.rego`));
    modules.set(name, bytes);
    texts.add(textOf(bytes)).add(textOf(await readFile(join(directory, name, `${name}_test.rego`))));
  }
  return { modules, texts };
}

function unknownPackage(file: string, row: number, name: string, { modules }: Shipped): PolicyFault {
  const message = `there is no package opallama.lib.${name}; there are ${[...modules.keys()].sort().join(', ')}`;
  return { code: 'unknown_library', message, file, row, column: undefined };
}

function regoOf(files: Files): ReadonlyArray<readonly [file: string, text: string]> {
  return [...files].filter(([file]) => file.endsWith('.rego')).map(([file, bytes]) => [file, textOf(bytes)]);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

/** @returns the last part of a package of the library's namespace */
function packageOf(text: string): string | undefined {
  return /^\s*package\s+opallama\.lib\.(\w+)\s*(?:#.*)?$/m.exec(text)?.[1];
}

/**
 * The packages of the library that a module names, and undefined where it names the library as a whole, or in a way that is
 * not plain enough to be sure. Text is enough to look at: a word too many, as in a string, adds a module that nobody calls.
 */
function mentionsOf(text: string): ReadonlyArray<{ readonly name: string | undefined; readonly row: number }> {
  const mentions: Array<{ readonly name: string | undefined; readonly row: number }> = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trimStart().startsWith('#')) continue;
    for (const [, name] of line.matchAll(/\bdata\s*(?:\.\s*opallama\b|\[\s*["`]opallama["`]\s*\])(?:\.lib\.(\w+))?/g))
      mentions.push({ name, row: index + 1 });
  }
  return mentions;
}
