/**
 * The last policy that took its place, kept on the disk so that a restart without its source does not stop the sidecar: a
 * bundle, compiled where the engine runs compiled policy, which an earlier run has tested.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { z } from 'zod';
import type { PolicyConfig } from '../configured/policy.ts';
import { PolicyError } from '../errors.ts';
import type { PolicySet } from '../types.ts';
import { readBundle } from './bundle.ts';
import { writeKnown } from './bundle-report.ts';
import { keptModule, type PreparedLogRules, reportLogRules } from './log-rules.ts';
import { packBundle } from './write-bundle.ts';

/** A policy as the sidecar's thread has it, or as it was handed over by another one. */
export type KeepablePolicy = Omit<PolicySet, 'data'> & {
  readonly data?: PolicySet['data'];
  readonly logRules?: PreparedLogRules | undefined;
};

const metadata = z.object({
  opallama_kept: z.object({ of: z.string() }),
});

/** @param stateDir `policy.state_dir`, which no other sidecar uses */
export function keptFile(stateDir: string, name: string): string {
  return join(stateDir, `${name}.tar.gz`);
}

/** @returns the policy as a bundle, which says what it is of @throws PolicyError */
export async function packKept(config: PolicyConfig, policy: KeepablePolicy): Promise<Uint8Array> {
  return packBundle(filesOf(policy, { of: sourceOf(config), ...describeLogRules(policy) }));
}

/**
 * What is kept for a policy.
 *
 * @param file that of what decided last, by default
 * @returns undefined where nothing is to be kept
 * @throws PolicyError where there is nothing, or nothing whole, or it was made from another source than is configured now
 */
export async function findKept(
  config: PolicyConfig,
  file: string | undefined = config.stateDir && keptFile(config.stateDir, config.name),
): Promise<{ readonly file: string; readonly revision: string | undefined } | undefined> {
  if (file === undefined) return undefined;
  const { metadata: found, revision } = await readBundle(file);
  const kept = metadata.safeParse(found).data?.opallama_kept;
  if (kept?.of !== sourceOf(config))
    throw new PolicyError(`The kept policy ${file} is of another source, engine or signature than is configured now.`);
  return { file, revision };
}

/** What must be the same for a kept policy to stand in: one that was never checked by today's configuration must not. */
export function sourceOf({ path, bundle, engine, entrypoint, signature }: PolicyConfig): string {
  const hash = createHash('sha256').update(JSON.stringify([bundle?.url.href ?? path, engine, entrypoint]));
  if (signature === undefined) return hash.digest('hex');
  const { algorithm, key, keyId, scope, excludeFiles } = signature;
  hash.update(JSON.stringify([algorithm, keyId, scope, excludeFiles]));
  if (signature.allowUnsignedDeltas === true) hash.update('unsigned deltas');
  hash.update(key.type === 'secret' ? key.export() : key.export({ type: 'spki', format: 'der' }));
  return hash.digest('hex');
}

/** Compiled rules that decide have no Rego beside them that could say it again. */
function describeLogRules({ logRules }: KeepablePolicy): { readonly log_rules?: unknown } {
  return logRules === undefined ? {} : { log_rules: reportLogRules(logRules) };
}

function filesOf(policy: KeepablePolicy, kept: z.infer<typeof metadata>['opallama_kept']): Map<string, Uint8Array> {
  const { wasm, revision } = policy;
  const files = new Map<string, Uint8Array>();
  const manifest = (more: Readonly<Record<string, unknown>>, known: Readonly<Record<string, unknown>> = {}): void => {
    const text = JSON.stringify({ revision, roots: [''], ...more, metadata: { ...known, opallama_kept: kept } });
    files.set('.manifest', Buffer.from(`${text}\n`));
  };
  if (policy.files.size > 0) {
    for (const [name, bytes] of policy.files) files.set(name, bytes.slice());
    manifest({});
    return files;
  }
  for (const [name, text] of Object.entries(policy.modules)) files.set(name, Buffer.from(text));
  // Both are copies: threads share theirs, and neither hashes nor zips read shared memory.
  files.set('data.json', policy.dataText?.slice() ?? Buffer.from(JSON.stringify(policy.data ?? {})));
  if (wasm === undefined) {
    manifest({ rego_version: 1 });
    return files;
  }
  const own = wasm.slice();
  files.set('policy.wasm', own);
  if (policy.logRules?.wasm !== undefined) files.set(keptModule, policy.logRules.wasm.slice());
  manifest(
    {
      wasm: policy.entrypoints.map((entrypoint) => ({ entrypoint, module: '/policy.wasm' })),
      rego_version: 1,
    },
    { opallama: writeKnown(own, policy, 'kept by opallama') },
  );
  return files;
}

/** Beside its place, onto the disk, then into its place, and the directory onto the disk as well. */
export async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  const directory = dirname(file);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const temporary = `${file}.new`;
  const written = await open(temporary, 'w', 0o600);
  try {
    await written.writeFile(bytes);
    await written.sync();
  } finally {
    await written.close();
  }
  await rename(temporary, file);
  await syncDirectory(directory);
}

/** What was renamed in it outlasts a machine that stops. */
export async function syncDirectory(directory: string): Promise<void> {
  const holder = await open(directory);
  try {
    await holder.sync();
  } finally {
    await holder.close();
  }
}
