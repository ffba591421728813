/** Puts a delta bundle to the snapshot that it changes. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { SignatureConfig } from '../configured/policy.ts';
import { PolicyError, type PolicyFault } from '../errors.ts';
import { manifestFile, openBundle, unpackBundle } from './bundle.ts';
import { type Delta, deltasFile, mostDeltas, patchFile, readDeltas, writeDeltas } from './delta.ts';
import { completeSource } from './source.ts';
import { signaturesFile, verifyBundle } from './verify-bundle.ts';
import { packBundle } from './write-bundle.ts';

export interface CombineOptions {
  /** What was downloaded. */
  readonly bytes: Uint8Array;
  /** The bundle that is there. */
  readonly file: string;
  /** Of what the server was told is there; undefined where it was told of nothing. */
  readonly sha256: string | undefined;
  readonly signature: SignatureConfig | undefined;
}

export interface Combined {
  /** The bundle that is there, with one delta more. */
  readonly bytes: Uint8Array;
  /** A snapshot is to be asked for: there have been many. */
  readonly isLast: boolean;
}

export type CombineReply =
  | { readonly combined: Combined | undefined }
  | { readonly failure: { readonly summary: string; readonly faults: readonly PolicyFault[] } };

/**
 * The new bundle is read as it will be read to be loaded: what can't be applied is never written.
 *
 * @returns undefined where what was downloaded is no delta
 * @throws PolicyError
 */
export async function combineDelta({ bytes, file, sha256, signature }: CombineOptions): Promise<Combined | undefined> {
  const name = `${file} (as it was sent)`;
  const sent = await unpackBundle(bytes, name);
  const patch = sent.get(patchFile);
  if (patch === undefined) return undefined;
  for (const other of sent.keys())
    if (![patchFile, manifestFile, signaturesFile].includes(other))
      throw new PolicyError(`The delta holds ${other} beside its ${patchFile}, which is for a snapshot.`);
  const present = sha256 === undefined ? undefined : await readFile(file).catch(() => undefined);
  if (present === undefined || createHash('sha256').update(present).digest('hex') !== sha256)
    throw new PolicyError('The bundle server sent a delta, and the snapshot that it changes is not here.');
  // Nobody needs to sign one where that is allowed; a signature that is there and wrong is another thing.
  if (signature !== undefined && sent.has(signaturesFile)) verifyBundle(sent, signature, name);

  const files = new Map(await unpackBundle(present, file));
  const manifest = openManifest(sent.get(manifestFile));
  const former = openManifest(files.get(manifestFile));
  for (const member of ['roots', 'wasm'] as const)
    if (manifest[member] !== former[member])
      throw new PolicyError(`The delta's manifest has other ${member} than the snapshot: ${manifest[member]}.`);
  const delta: Delta = { revision: manifest.revision, patch: Buffer.from(patch).toString('utf8') };
  const deltas = [...readDeltas(files.get(deltasFile), file), delta];
  files.set(deltasFile, writeDeltas(deltas));
  await completeSource(openBundle(files, file, signature));
  return { bytes: await packBundle(files), isLast: deltas.length >= mostDeltas };
}

/** What two manifests must have in common, in an order of its own. */
function openManifest(bytes: Uint8Array | undefined) {
  let manifest: { roots?: unknown; wasm?: unknown; revision?: unknown };
  try {
    manifest = Object(bytes === undefined ? {} : JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (cause) {
    throw new PolicyError("The delta's manifest is not JSON.", [], { cause });
  }
  const { roots, wasm, revision } = manifest;
  const trimmed = Array.isArray(roots) ? roots.map((root) => String(root).replace(/^\/+|\/+$/g, '')) : [''];
  const resolvers = Array.isArray(wasm) ? wasm : [];
  return {
    roots: JSON.stringify(trimmed.sort()),
    wasm: JSON.stringify(resolvers.map((one) => [Object(one).entrypoint, Object(one).module])),
    revision: typeof revision === 'string' && revision !== '' ? revision : undefined,
  };
}

// Run from the source by Node it is combine-thread.ts, from the package combine-thread.js.
const script = fileURLToPath(new URL(`./combine-thread${extname(import.meta.url)}`, import.meta.url));

/** `combineDelta` in a thread of its own: tens of megabytes of data are read for it. @throws PolicyError */
export async function combineApart(options: CombineOptions): Promise<Combined | undefined> {
  const thread = new Worker(script, {
    name: 'combine delta',
    workerData: options,
    env: {},
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  try {
    const reply = await new Promise<CombineReply>((resolve, reject) => {
      thread.once('message', resolve);
      thread.once('error', reject);
      thread.once('exit', (code) => reject(new Error(`The delta could not be read: exit code ${code}.`)));
    });
    if ('failure' in reply) throw new PolicyError(reply.failure.summary, reply.failure.faults);
    return reply.combined;
  } finally {
    await thread.terminate();
  }
}
