/** The policies of a configuration for one use: nothing is watched. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../configured/config.ts';
import type { PolicyConfig } from '../configured/policy.ts';
import { downloadBundle } from '../policy/download.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import { type ActivePolicy, type PolicyMember, uniteMembers } from './active-policy.ts';
import { type LoadOptions, loadMember, type Sources } from './load-member.ts';

/**
 * Prepares and loads the policies that a configuration names: what `check` does, and what `serve` does before it listens.
 *
 * @param options.runTests `false` only where nothing is enforced
 * @throws PolicyError
 */
export async function loadPolicy(
  config: Pick<Config, 'policies'>,
  searchPath: string | undefined,
  options: LoadOptions = {},
): Promise<ActivePolicy> {
  const toolchain = createToolchain({ path: searchPath });
  const members: PolicyMember[] = [];
  try {
    for (const policy of config.policies)
      members.push(
        await loadOnce(policy, config.policies, { toolchain, searchPath, beside: () => members, ...options }),
      );
  } catch (error) {
    for (const { loaded } of members) await loaded.close();
    throw error;
  } finally {
    await toolchain.close();
  }
  return uniteMembers(members);
}

/** A server's bundle is got into a directory of its own: what lies in `state_dir` is the running sidecar's. */
async function loadOnce(policy: PolicyConfig, all: readonly PolicyConfig[], sources: Sources): Promise<PolicyMember> {
  if (policy.bundle === undefined) return loadMember(policy, all, sources);
  const { bytes } = await downloadBundle(policy.bundle, {
    etag: undefined,
    waitMs: 0,
    signal: new AbortController().signal,
  });
  const directory = await mkdtemp(join(tmpdir(), 'opallama-'));
  try {
    const path = join(directory, 'bundle.tar.gz');
    await writeFile(path, bytes ?? '');
    return { ...(await loadMember({ ...policy, path }, all, sources)), config: policy };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
