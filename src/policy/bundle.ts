/** Reads an OPA bundle: a gzipped tar, unpacked in memory and never onto a disk. */
import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

import type { ReadEntry } from 'tar';
import type { SignatureConfig } from '../configured/policy.ts';
import { PolicyError } from '../errors.ts';
import { type Delta, deltasFile, patchFile, readDeltas } from './delta.ts';
import { allOfData, isInRoots, readRoots } from './roots.ts';
import { signaturesFile, verifyBundle } from './verify-bundle.ts';

export interface Bundle {
  /** By path without a leading slash; the manifest and signatures left out. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly revision: string | undefined;
  /** `metadata` of the manifest, as it came. */
  readonly metadata: unknown;
  /** What part of `data` it may define. */
  readonly roots: readonly string[];
  /** What changed of its data since, the oldest first. */
  readonly deltas: readonly Delta[];
}

/** Bounds against a bundle that unpacks to more than anyone meant. */
const mostFiles = 10_000;
const mostBytes = 512 * 1024 * 1024;

const blockBytes = 512;
const endOfArchive = Buffer.alloc(2 * blockBytes);

export const manifestFile = '.manifest';

/**
 * @param signature by whom it must be signed, where it must
 * @throws PolicyError for anything that is not a whole bundle
 */
export async function readBundle(path: string, signature?: SignatureConfig): Promise<Bundle> {
  const packed = await readFile(path).catch((cause: unknown) => {
    throw new PolicyError(`The bundle ${path} can't be read.`, [], { cause });
  });
  return openBundle(await unpackBundle(packed, path), path, signature);
}

/**
 * @param path for messages
 * @returns everything in it by path without a leading slash, manifest and signatures too
 * @throws PolicyError for anything that is not a whole archive
 */
export async function unpackBundle(packed: Uint8Array, path: string): Promise<ReadonlyMap<string, Uint8Array>> {
  if (/\.(?:rego|json|ya?ml)$/i.test(path))
    throw new PolicyError(`${path} is a single file. Name the directory it is in, or a bundle (.tar.gz).`);
  const tar = await promisify(gunzip)(packed, { maxOutputLength: mostBytes }).catch((cause: unknown) => {
    const tooLarge = cause instanceof RangeError;
    throw new PolicyError(
      tooLarge
        ? `The bundle ${path} unpacks to more than ${mostBytes} bytes.`
        : `The bundle ${path} is not a whole .tar.gz file. Was it cut short? Build or copy it again.`,
      [],
      { cause },
    );
  });
  if (isPacked(tar)) throw new PolicyError(`The bundle ${path} is packed twice. Build it again.`);
  if (!hasEnd(tar)) throw new PolicyError(`The bundle ${path} has no end. Was it cut short? Build it again.`);
  return unpack(tar, path);
}

/** @throws PolicyError where it is a delta, is not signed as it must be, or has a manifest that can't be read */
export function openBundle(
  files: ReadonlyMap<string, Uint8Array>,
  path: string,
  signature: SignatureConfig | undefined,
): Bundle {
  // What it would change is not here to be changed; left out, a denial may be missing. In a directory too it is one to OPA.
  for (const name of files.keys())
    if (posix.basename(name) === patchFile)
      throw new PolicyError(
        `The bundle ${path} is a delta (${name}), and no snapshot is here to be changed. Have one sent.`,
      );
  const changes = files.get(deltasFile);
  const own = signature?.allowUnsignedDeltas === true ? without(files, [deltasFile]) : files;
  if (signature !== undefined) verifyBundle(own, signature, path);
  const deltas = readDeltas(changes, path);
  const manifest = readManifest(files.get(manifestFile), path);
  return {
    // With the deltas: they count for what tells revisions apart.
    files: without(files, [manifestFile, signaturesFile]),
    ...manifest,
    ...(deltas.length > 0 && { revision: deltas.at(-1)?.revision }),
    deltas,
  };
}

function without(files: ReadonlyMap<string, Uint8Array>, names: readonly string[]): ReadonlyMap<string, Uint8Array> {
  return new Map([...files].filter(([name]) => !names.includes(name)));
}

/** The tar reader would unpack gzip and zstd once more, past every bound (RFC 1952 section 2.3.1, RFC 8878 section 3.1.1). */
function isPacked(tar: Buffer): boolean {
  const [first, second, third, fourth] = tar;
  return (
    (first === 0x1f && second === 0x8b) || (first === 0x28 && second === 0xb5 && third === 0x2f && fourth === 0xfd)
  );
}

/**
 * POSIX ends an archive with two blocks of zeros. The tar reader does not miss them, and a policy that lost its last files
 * may have lost the rules that deny.
 */
function hasEnd(tar: Buffer): boolean {
  return (
    tar.length % blockBytes === 0 &&
    tar.length >= endOfArchive.length &&
    tar.subarray(-endOfArchive.length).equals(endOfArchive)
  );
}

async function unpack(tar: Buffer, path: string): Promise<Map<string, Uint8Array>> {
  // Loaded where it is needed: a policy in a directory never is.
  const { Parser } = await import('tar');
  return new Promise((resolve, reject) => {
    const files = new Map<string, Uint8Array>();
    const refuse = (reason: string): void => reject(new PolicyError(`The bundle ${path} ${reason}`));
    const parser = new Parser({
      // A bad checksum or a cut file would otherwise only be a warning.
      strict: true,
      onReadEntry(entry: ReadEntry) {
        const name = posix.normalize(entry.path).replace(/^\/+/, '');
        if (entry.type === 'Directory') return entry.resume();
        if (entry.type !== 'File' && entry.type !== 'OldFile') refuse(`holds ${name}, which is not a plain file.`);
        if (entry.path.split('/').includes('..')) refuse('holds a path that leaves its root.');
        if (files.has(name)) refuse(`holds ${name} twice.`);
        if (files.size >= mostFiles) refuse(`holds more than ${mostFiles} files.`);
        const chunks: Uint8Array[] = [];
        files.set(name, new Uint8Array());
        entry.on('data', (chunk: Uint8Array) => chunks.push(chunk));
        entry.on('end', () => files.set(name, Buffer.concat(chunks)));
        return undefined;
      },
    });
    parser.on('error', (cause: Error) =>
      reject(
        new PolicyError(`The bundle ${path} is damaged: ${cause.message}. Build or copy it again.`, [], { cause }),
      ),
    );
    parser.on('end', () => resolve(files));
    parser.end(tar);
  });
}

function readManifest(bytes: Uint8Array | undefined, path: string): Omit<Bundle, 'files' | 'deltas'> {
  if (bytes === undefined) return { revision: undefined, metadata: undefined, roots: allOfData };
  let manifest: unknown;
  try {
    manifest = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw new PolicyError(`The manifest of the bundle ${path} is not JSON.`, [], { cause });
  }
  if (typeof manifest !== 'object' || manifest === null)
    return { revision: undefined, metadata: undefined, roots: allOfData };
  const revision = 'revision' in manifest ? manifest.revision : undefined;
  const roots = readRoots('roots' in manifest ? manifest.roots : undefined, path);
  for (const entrypoint of entrypointsOf(manifest))
    if (!isInRoots(roots, entrypoint.replace(/^\/+/, '').split('/')))
      throw new PolicyError(
        `The manifest of the bundle ${path} has the entrypoint ${entrypoint} outside of its roots.`,
      );
  return {
    revision: typeof revision === 'string' && revision !== '' ? revision : undefined,
    metadata: 'metadata' in manifest ? manifest.metadata : undefined,
    roots,
  };
}

/** Of compiled policy; what has another form is no entrypoint of anything. */
function entrypointsOf(manifest: object): readonly string[] {
  const listed: readonly unknown[] = 'wasm' in manifest && Array.isArray(manifest.wasm) ? manifest.wasm : [];
  return listed.flatMap((one) => {
    const { entrypoint } = Object(one);
    return typeof entrypoint === 'string' ? [entrypoint] : [];
  });
}
