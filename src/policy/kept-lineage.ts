/**
 * What a restart has to know of the revisions of a policy: which one decides, whether somebody rolled back to it, who gets the
 * one that is being rolled out, and the revisions themselves, each a bundle as the last good policy is kept.
 */
import { createHash } from 'node:crypto';
import { copyFile, link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { z } from 'zod';
import type { PolicyConfig } from '../configured/policy.ts';
import { PolicyError } from '../errors.ts';
import { findKept, type KeepablePolicy, keptFile, packKept, sourceOf, syncDirectory, writeWhole } from './kept.ts';

const document = z.strictObject({
  version: z.literal(1),
  of: z.string(),
  deciding: z.string(),
  candidate: z.strictObject({ revision: z.string(), percent: z.number().min(0).max(100) }).optional(),
  held_since: z.number().optional(),
  waiting_since: z.number().optional(),
  revisions: z.array(z.strictObject({ revision: z.string(), loaded_at: z.number(), tests_passed: z.number() })),
});

export interface KeptLineage {
  /** Revisions. */
  readonly deciding: string;
  readonly candidate: { readonly revision: string; readonly percent: number } | undefined;
  /** Unix time, ms. */
  readonly heldSinceMs: number | undefined;
  readonly waitingSinceMs: number | undefined;
  /** In the order in which they are gone back through. */
  readonly revisions: ReadonlyArray<{
    readonly revision: string;
    readonly loadedAtMs: number;
    readonly testsPassed: number;
  }>;
}

function lineageFile(stateDir: string, name: string): string {
  return join(stateDir, `${name}.lineage.json`);
}

function revisionFile(stateDir: string, name: string, revision: string): string {
  const digest = createHash('sha256').update(revision).digest('hex').slice(0, 32);
  return join(stateDir, `${name}.revisions`, `${digest}.tar.gz`);
}

/** Writes one revision in one step. @throws what the file system throws */
export async function keepRevision(config: PolicyConfig, policy: KeepablePolicy): Promise<void> {
  if (config.stateDir === undefined) return;
  await writeWhole(revisionFile(config.stateDir, config.name, policy.revision), await packKept(config, policy));
}

/** @returns its file @throws PolicyError where it is not there, not whole, or of another source than is configured now */
export async function findKeptRevision(config: PolicyConfig, revision: string): Promise<string> {
  const { stateDir = '', name } = config;
  const file = revisionFile(stateDir, name, revision);
  const found = await findKept(config, file);
  if (found?.revision !== revision) throw new PolicyError(`The kept revision ${file} is another one than ${revision}.`);
  return file;
}

/**
 * @returns undefined where nothing was kept, or it is of another source than is configured now
 * @throws PolicyError where something is there that can't be read
 */
export async function readLineage(config: PolicyConfig): Promise<KeptLineage | undefined> {
  if (config.stateDir === undefined) return undefined;
  const file = lineageFile(config.stateDir, config.name);
  try {
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined) return undefined;
    const read = document.parse(JSON.parse(text));
    if (read.of !== sourceOf(config)) return undefined;
    return {
      deciding: read.deciding,
      candidate: read.candidate,
      heldSinceMs: read.held_since,
      waitingSinceMs: read.waiting_since,
      revisions: read.revisions.map(({ revision, loaded_at: loadedAtMs, tests_passed: testsPassed }) => ({
        revision,
        loadedAtMs,
        testsPassed,
      })),
    };
  } catch (cause) {
    throw new PolicyError(`${file} can't be read, so nobody knows whether somebody had rolled back.`, [], { cause });
  }
}

/**
 * Writes it in one step, once every revision is there that it names. What decides is put where a start looks that finds no
 * more than that.
 *
 * @param prune takes away what it does not name
 * @throws PolicyError where what decides was not kept, and what the file system throws
 */
export async function writeLineage(config: PolicyConfig, lineage: KeptLineage, prune: boolean): Promise<void> {
  const { stateDir, name } = config;
  if (stateDir === undefined) return;
  const deciding = revisionFile(stateDir, name, lineage.deciding);
  // As a version left it that kept no more than that.
  if (!(await isThere(deciding)) && (await findKept(config).catch(() => undefined))?.revision === lineage.deciding)
    await promote(keptFile(stateDir, name), deciding);
  const revisions: KeptLineage['revisions'][number][] = [];
  for (const one of lineage.revisions)
    if (await isThere(revisionFile(stateDir, name, one.revision))) revisions.push(one);
  const isKept = (revision: string) => revisions.some((one) => one.revision === revision);
  if (!isKept(lineage.deciding)) throw new PolicyError(`The revision ${lineage.deciding} was not kept.`);
  const { candidate } = lineage;
  const written: z.infer<typeof document> = {
    version: 1,
    of: sourceOf(config),
    deciding: lineage.deciding,
    candidate: candidate && isKept(candidate.revision) ? candidate : undefined,
    held_since: lineage.heldSinceMs,
    waiting_since: lineage.waitingSinceMs,
    revisions: revisions.map(({ revision, loadedAtMs, testsPassed }) => ({
      revision,
      loaded_at: loadedAtMs,
      tests_passed: testsPassed,
    })),
  };
  await writeWhole(lineageFile(stateDir, name), Buffer.from(`${JSON.stringify(written)}\n`));
  await promote(deciding, keptFile(stateDir, name));
  if (prune) await pruneRevisions(stateDir, name, new Set(revisions.map(({ revision }) => revision)));
}

/** The same bytes under a second name, in one step. */
async function promote(from: string, to: string): Promise<void> {
  const [source, target] = await Promise.all([stat(from), stat(to).catch(() => undefined)]);
  if (target !== undefined && source.ino === target.ino && source.dev === target.dev) return;
  const temporary = `${to}.new`;
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  await rm(temporary, { force: true });
  // Some file systems know no second names.
  await link(from, temporary).catch(async () => {
    await copyFile(from, temporary);
    const copy = await open(temporary, 'r+');
    await copy.sync().finally(() => copy.close());
  });
  await rename(temporary, to);
  await syncDirectory(dirname(to));
}

async function pruneRevisions(stateDir: string, name: string, revisions: ReadonlySet<string>): Promise<void> {
  const wanted = new Set([...revisions].map((revision) => revisionFile(stateDir, name, revision)));
  const directory = join(stateDir, `${name}.revisions`);
  for (const file of await readdir(directory))
    if (!wanted.has(join(directory, file))) await rm(join(directory, file), { force: true });
}

async function isThere(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
