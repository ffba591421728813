/**
 * The operator's own ES module. It runs in a thread of its own, which is no sandbox: what Node may do, it may do.
 *
 * Every thread of one loaded policy runs the same text. The first one keeps what it reads of the module and of the files
 * that it imports by a relative path; the threads that take the place of others are handed that, whatever lies on the disk
 * by then.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { dirname, extname, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import type { PolicyConfig } from '../../configured/policy.ts';
import { PolicyError } from '../../errors.ts';
import type { DecisionEngine, LoadedPolicy, PolicySet } from '../../types.ts';
import { readExports } from './module-exports.ts';
import { findPlace } from './module-place.ts';
import { toPlain } from './plain-value.ts';

const extensions: ReadonlySet<string> = new Set(['.mjs', '.js', '.mts', '.ts']);

export function createModuleEngine(config: PolicyConfig): DecisionEngine {
  return { name: 'module', needs: 'none', holds: 'user_code', load: (policy) => load(config.path, policy) };
}

/** @throws PolicyError with file, row and column where the module can't be read or has no evaluate. */
async function load(path: string, policy: PolicySet): Promise<LoadedPolicy> {
  if (isMainThread) throw new Error('The engine module is for threads that can be ended.');
  if (!extensions.has(extname(path))) {
    throw new PolicyError(
      `The engine module needs policy.path to name an ES module (${[...extensions].join(', ')}), not ${path}.`,
    );
  }
  const isSuccessor = policy.files.size > 0;
  const file = isSuccessor && !existsSync(path) ? path : findFile(path);
  const directory = dirname(file);
  let last = file;
  const texts = isSuccessor
    ? policy.files
    : keepTexts(directory, (read) => {
        last = read;
      });
  if (isSuccessor) serveTexts(directory, texts);

  let namespace: unknown;
  try {
    namespace = await import(pathToFileURL(file).href);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new PolicyError(
      `The module ${path} can't be loaded.`,
      [{ code: 'module_error', message, ...findPlace(error, directory, last) }],
      { cause: error },
    );
  }
  const { evaluate, reads, codes, shape, deterministic, entrypoints } = readExports(
    namespace,
    relative(directory, file),
  );

  const names = entrypoints ?? policy.entrypoints;
  return {
    revision: hashTexts(texts),
    entrypoints: names,
    reads,
    codes,
    deterministic,
    files: texts,
    shape: (entrypoint) => (names.includes(entrypoint) ? shape : 'unknown'),
    evaluate(entrypoint, input) {
      // Awaited even if it gives no promise that Node knows: a thenable is as good to JavaScript.
      const result = evaluate(input, entrypoint);
      return isThenable(result) ? Promise.resolve(result).then(toResults) : toResults(result);
    },
    async close() {},
  };
}

function toResults(result: unknown): readonly unknown[] {
  return result === undefined ? [] : [toPlain(result)];
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

function findFile(path: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    throw new PolicyError(`The policy ${path} can't be read. Check policy.path.`, [], { cause });
  }
}

/** @returns filled while the module is imported: format and path below the directory, to text */
function keepTexts(directory: string, onRead: (file: string) => void): ReadonlyMap<string, Uint8Array> {
  const texts = new Map<string, Uint8Array>();
  registerHooks({
    load(url, context, nextLoad) {
      const name = ownName(url, directory);
      if (name !== undefined) onRead(fileURLToPath(url));
      const loaded = nextLoad(url, context);
      if (name !== undefined) {
        const { source, format } = loaded;
        // Node leaves the source of CommonJS to be read later.
        const bytes =
          source instanceof Uint8Array
            ? source.slice()
            : Buffer.from(String(source ?? readFileSync(fileURLToPath(url))));
        texts.set(`${format} ${name}`, bytes);
      }
      return loaded;
    },
  });
  return texts;
}

/** A module that has been kept is neither looked for nor read again. */
function serveTexts(directory: string, texts: ReadonlyMap<string, Uint8Array>): void {
  const kept = new Map(
    [...texts].map(([key, source]) => {
      const [format = '', ...name] = key.split(' ');
      return [name.join(' '), { format, source: Buffer.from(source), shortCircuit: true }];
    }),
  );
  const find = (url: string) => kept.get(ownName(url, directory) ?? '');
  registerHooks({
    resolve(specifier, context, nextResolve) {
      if (!/^(?:file:|\.{1,2}\/)/.test(specifier)) return nextResolve(specifier, context);
      const { href } = new URL(specifier, context.parentURL);
      const { importAttributes } = context;
      return find(href) === undefined
        ? nextResolve(specifier, context)
        : { url: href, importAttributes, shortCircuit: true };
    },
    load: (url, context, nextLoad) => find(url) ?? nextLoad(url, context),
  });
}

/** Of the operator's own files; packages have versions of their own. Undefined for anything else. */
function ownName(url: string, directory: string): string | undefined {
  if (!url.startsWith('file:')) return undefined;
  const file = fileURLToPath(url);
  if (file.split(sep).includes('node_modules')) return undefined;
  return relative(directory, file).split(sep).join('/');
}

/** Twelve digits, as for other policies. */
function hashTexts(texts: ReadonlyMap<string, Uint8Array>): string {
  const hash = createHash('sha256');
  for (const [name, bytes] of [...texts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex').slice(0, 12);
}
