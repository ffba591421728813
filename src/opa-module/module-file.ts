/** Where OPA's own code is as one WebAssembly module (`opa/`), and its compiled form. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** What `npm run build:opa` makes. The same place seen from `src/` and from `dist/`. */
export const opaModuleFile = fileURLToPath(new URL('../../opa/build/opa.wasm', import.meta.url));

/** The same commands as a program of this machine, for the tool chain alone; made where Go is installed. */
export const opaProgramFile = fileURLToPath(
  new URL(`../../opa/build/opa-${process.platform}-${process.arch}`, import.meta.url),
);

export function isOpaModuleBuilt(): boolean {
  return existsSync(opaModuleFile);
}

const compiled = new Map<string, Promise<WebAssembly.Module>>();

/** What was compiled or taken in this thread; undefined where nothing asked for it. */
export function findOpaModule(): Promise<WebAssembly.Module | undefined> {
  return compiled.get(opaModuleFile) ?? Promise.resolve(undefined);
}

/** @param module that another thread has compiled: asked for here, it is there */
export function takeOpaModule(module: WebAssembly.Module): void {
  compiled.set(opaModuleFile, Promise.resolve(module));
}

/**
 * Compiled once in a process (some 150 ms). A worker thread is handed the result, which is shared and not copied.
 *
 * @throws what reading the file and compiling it throw
 */
export function compileOpaModule(file: string = opaModuleFile): Promise<WebAssembly.Module> {
  let module = compiled.get(file);
  if (module === undefined) {
    module = readFile(file).then((bytes) => WebAssembly.compile(bytes));
    // What failed once may be there the next time.
    module.catch(() => compiled.delete(file));
    compiled.set(file, module);
  }
  return module;
}
