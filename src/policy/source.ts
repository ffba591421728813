/**
 * Reads a policy: a directory of `.rego`, `.json` and `.yaml`, or a bundle as OPA builds it. Nothing is evaluated here.
 *
 * OPA's rules for bundles hold for directories too (docs: bundle file format): base documents come from `data.json`,
 * `data.yaml` and `data.yml` only and are mounted at their directory's path; every other JSON or YAML file is ignored.
 */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, join, posix } from 'node:path';
import type { SignatureConfig } from '../configured/policy.ts';
import { PolicyError, type PolicyFault } from '../errors.ts';
import { readBaseDocument } from './base-document.ts';
import { type Bundle, readBundle } from './bundle.ts';
import { applyDelta } from './delta.ts';
import { addLibrary, type WithLibrary } from './library.ts';
import { allOfData, findDocumentOutside, findModulesOutside } from './roots.ts';

export interface PolicySource {
  readonly kind: 'directory' | 'bundle';
  /** Name to Rego text; names are relative to the root. */
  readonly modules: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, unknown>>;
  /** JSON and YAML files that are no base documents. */
  readonly ignored: readonly string[];
  /** `policy.wasm` of a compiled bundle. */
  readonly wasm: Uint8Array | undefined;
  /** As the bundle's manifest names it. */
  readonly revision: string | undefined;
  /** `metadata` of the bundle's manifest. */
  readonly metadata: unknown;
  /** Every file's name and content, for a revision that changes when anything does. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** What part of `data` the bundle may define, as its manifest says. */
  readonly roots: readonly string[];
  /** Which of the modules are opallama's library's: tested with it, and no part of the policy's own coverage. */
  readonly library: readonly string[];
}

/** More would be no policy but a mistake, such as a home directory. */
const mostFiles = 10_000;
const mostBytes = 256 * 1024 * 1024;

const dataFile = /^data\.(?:json|ya?ml)$/;

export interface ReadOptions {
  readonly copies?: 'dropped' | 'kept' | 'alone';
  readonly signature?: SignatureConfig | undefined;
}

/**
 * With what the policy imports of opallama's library (`addLibrary`).
 *
 * @param options.signature by whom it must be signed, where it must
 * @param options.copies files that are the library's own: `dropped`, or `kept` for those who test what is there; `alone` adds
 *   nothing either, for a caller who puts several paths together
 * @throws PolicyError with file, row and column
 */
export async function readPolicySource(
  path: string,
  { copies = 'dropped', signature }: ReadOptions = {},
): Promise<PolicySource> {
  if (await isDirectory(path)) {
    if (signature !== undefined) refuseUnsigned(path);
    const files = await readDirectory(path, isPolicyFile);
    const source = assemble('directory', await addTo(files, copies), { revision: undefined, roots: allOfData });
    if (Object.keys(source.modules).length === 0)
      throw new PolicyError(`The directory ${path} holds no .rego file. For another language set policy.engine.`);
    return source;
  }
  return completeSource(await readBundle(path, signature), copies);
}

/** @param copies as of `readPolicySource` @throws PolicyError */
export async function completeSource(bundle: Bundle, copies: ReadOptions['copies'] = 'dropped'): Promise<PolicySource> {
  const { files, metadata, deltas, ...manifest } = bundle;
  const source = assemble('bundle', await addTo(files, copies), manifest);
  const { data } = source;
  for (const delta of deltas) applyDelta(data, delta, source.roots);
  return { ...source, metadata };
}

async function addTo(files: ReadonlyMap<string, Uint8Array>, copies: ReadOptions['copies']): Promise<WithLibrary> {
  return copies === 'alone' ? { files, library: [] } : addLibrary(files, copies);
}

export type PolicyFiles = Pick<PolicySource, 'files' | 'revision' | 'roots'> & {
  readonly kind: PolicySource['kind'] | 'file';
};

/**
 * Reads what an engine that is not Rego's finds at a path: every file of a directory or a bundle, or one file.
 *
 * @throws PolicyError
 */
export async function readPolicyFiles(path: string, signature?: SignatureConfig): Promise<PolicyFiles> {
  if (await isDirectory(path)) {
    if (signature !== undefined) refuseUnsigned(path);
    const files = await readDirectory(path, () => true);
    if (files.size === 0) throw new PolicyError(`The directory ${path} holds no file.`);
    return { kind: 'directory', files, revision: undefined, roots: allOfData };
  }
  if (/\.(?:tar\.gz|tgz)$/.test(path)) {
    const { files, revision, roots, deltas } = await readBundle(path, signature);
    // They change data of Rego; of another language's files nobody could say what they change.
    if (deltas.length > 0)
      throw new PolicyError(`The bundle ${path} has deltas, which are for Rego. Have a snapshot sent.`);
    return { kind: 'bundle', files, revision, roots };
  }
  if (signature !== undefined) refuseUnsigned(path);
  const files = new Map([[basename(path), await readOrRefuse(path)]]);
  return { kind: 'file', files, revision: undefined, roots: allOfData };
}

/** What is no bundle carries no signature. */
function refuseUnsigned(path: string): never {
  throw new PolicyError(`policy.signature asks for a signed bundle, and ${path} is none. Build one: opallama build.`);
}

async function isDirectory(path: string): Promise<boolean> {
  if (/^https?:/.test(path))
    throw new PolicyError(
      'A URL is read from the configuration only (policy.path). Here name a directory or a bundle file.',
    );
  const found = await stat(path).catch((cause: unknown) => {
    throw new PolicyError(`The policy ${path} can't be read. Check policy.path.`, [], { cause });
  });
  return found.isDirectory();
}

async function readDirectory(
  root: string,
  isWanted: (name: string) => boolean,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  let bytes = 0;
  const walk = async (directory: string, prefix: string, above: readonly string[]): Promise<void> => {
    const real = await realpath(directory);
    if (above.includes(real)) throw new PolicyError(`${prefix} in ${root} is a link to a directory that holds it.`);
    const entries = await readdir(directory).catch((cause: unknown) => {
      throw new PolicyError(`The directory ${directory} can't be read.`, [], { cause });
    });
    for (const name of entries.sort()) {
      // `..data` and the like are how Kubernetes swaps a ConfigMap's files; the files themselves are links beside it.
      if (name.startsWith('.')) continue;
      const file = join(directory, name);
      const relative = posix.join(prefix, name);
      const info = await stat(file).catch((cause: unknown) => {
        throw new PolicyError(`${relative} in ${root} can't be read. Is it a link to nowhere, or to itself?`, [], {
          cause,
        });
      });
      if (info.isDirectory()) await walk(file, relative, [...above, real]);
      else if (isWanted(name)) {
        bytes += info.size;
        if (files.size >= mostFiles || bytes > mostBytes) {
          throw new PolicyError(
            `${root} holds more than ${mostFiles} policy files or ${mostBytes} bytes. Is it the right directory?`,
          );
        }
        files.set(relative, await readOrRefuse(file));
      }
    }
  };
  await walk(root, '', []);
  return files;
}

async function readOrRefuse(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new PolicyError(`The policy file ${file} can't be read.`, [], { cause });
  }
}

function isPolicyFile(name: string): boolean {
  return /\.(?:rego|json|ya?ml)$/.test(name);
}

function assemble(
  kind: PolicySource['kind'],
  { files, library }: WithLibrary,
  { revision, roots }: Pick<PolicySource, 'revision' | 'roots'>,
): PolicySource {
  const modules: Record<string, string> = {};
  const data: Record<string, unknown> = {};
  const ignored: string[] = [];
  const faults: PolicyFault[] = [];
  const outside: PolicyFault[] = [];
  let wasm: Uint8Array | undefined;
  for (const [file, bytes] of files) {
    const name = basename(file);
    if (file === 'policy.wasm') wasm = bytes;
    else if (name.endsWith('.rego')) modules[file] = Buffer.from(bytes).toString('utf8');
    else if (dataFile.test(name)) mount(data, { file, bytes, roots }, faults, outside);
    else if (isPolicyFile(name) && !name.startsWith('.')) ignored.push(file);
  }
  if (faults.length > 0) throw new PolicyError("The policy's data can't be read.", faults);
  const own = Object.fromEntries(Object.entries(modules).filter(([file]) => !library.includes(file)));
  outside.push(...findModulesOutside(roots, own));
  if (outside.length > 0) throw new PolicyError('The bundle defines what is outside of its roots.', outside);
  return { kind, modules, data, ignored, wasm, revision, metadata: undefined, files, roots, library };
}

function mount(
  data: Record<string, unknown>,
  { file, bytes, roots }: { readonly file: string; readonly bytes: Uint8Array; readonly roots: readonly string[] },
  faults: PolicyFault[],
  outside: PolicyFault[],
): void {
  const value = readBaseDocument(file, bytes);
  if (isFaults(value)) {
    faults.push(...value);
    return;
  }
  const path = posix
    .dirname(file)
    .split('/')
    .filter((part) => part !== '.');
  // Before it is merged, which puts what other files say into its members.
  const stray = findDocumentOutside(roots, { file, bytes, at: path, value });
  if (stray !== undefined) outside.push(stray);
  const nested = path.reduceRight<Record<string, unknown>>((inner, part) => ({ [part]: inner }), value);
  const clash = mergeData(data, nested);
  if (clash !== undefined) {
    faults.push({
      code: 'data_conflict',
      message: `data.${clash} is defined by another file too`,
      file,
      row: undefined,
      column: undefined,
    });
  }
}

function isFaults(read: ReturnType<typeof readBaseDocument>): read is readonly PolicyFault[] {
  return Array.isArray(read);
}

/** Lays one base document over another. @returns the path at which both define something that is not an object */
export function mergeData(
  into: Record<string, unknown>,
  from: Readonly<Record<string, unknown>>,
  path: readonly string[] = [],
): string | undefined {
  for (const [key, value] of Object.entries(from)) {
    const present = Object.hasOwn(into, key) ? into[key] : undefined;
    if (present === undefined) {
      Object.defineProperty(into, key, { value, enumerable: true, writable: true, configurable: true });
    } else if (isRecord(present) && isRecord(value)) {
      const clash = mergeData(present, value, [...path, key]);
      if (clash !== undefined) return clash;
    } else {
      return [...path, key].join('.');
    }
  }
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
