/** The policies that decide: the section `policy` itself, or the entries of its list `all_of`. */
import { resolve } from 'node:path';
import type { z } from 'zod';
import type { ManagementConfig } from '../configured/management.ts';
import type { BundleConfig, PolicyConfig, ShadowConfig, SignatureConfig } from '../configured/policy.ts';
import { bundle as bundleSchema } from './bundle-schema.ts';
import type { Environment } from './environment.ts';
import type { Path } from './faults.ts';
import { loadKey } from './keys.ts';
import { valueAt } from './layers.ts';
import { loadOpa, loadToken } from './opa.ts';
import type { policy as policySchema } from './policy-schema.ts';
import { loadTls, upstreamTlsFiles } from './tls.ts';

export interface PolicySources extends Environment {
  /** The whole configuration as it was written, unchecked. */
  readonly tree: unknown;
  readonly management?: ManagementConfig | undefined;
  /** The directory that a relative path in this member is relative to. */
  readonly directory: (path: Path) => string;
  readonly report: (path: Path, text: string) => void;
}

type Section = z.output<typeof policySchema>;
type Entry = NonNullable<Section['allOf']>[number];

/** The name of the only policy, where there is no list. */
const onlyName = 'policy';

/**
 * Resolves paths, and reads the files of the engine that is chosen, of no other.
 *
 * @returns at least one
 */
export function listPolicies(policy: Section, sources: PolicySources): readonly PolicyConfig[] {
  const { allOf, shadow: _shadow, ...only } = policy;
  if (allOf === undefined) return [complete({ ...only, name: onlyName }, ['policy'], sources)];
  for (const member of Object.keys(Object(valueAt(sources.tree, ['policy'])))) {
    if (member !== 'all_of' && member !== 'shadow')
      sources.report(['policy', member], 'stands beside policy.all_of; give it to the entries that it is for');
  }
  return allOf.map((entry, index) => {
    const path = ['policy', 'all_of', index];
    const twin = allOf.findIndex(({ name }) => name === entry.name);
    if (twin < index) sources.report([...path, 'name'], `is the name of policy.all_of[${twin}] too`);
    return complete(entry, path, sources);
  });
}

/** @param names of the policies that decide */
export function readShadow(
  { shadow }: Section,
  names: readonly string[],
  sources: PolicySources,
): ShadowConfig | undefined {
  if (shadow === undefined) return undefined;
  const path = ['policy', 'shadow'];
  if (names.includes(shadow.name)) sources.report([...path, 'name'], 'is the name of a policy that decides');
  const completed = complete(shadow, path, sources);
  if (completed.bundle?.url.protocol === 'bundle:')
    sources.report([...path, 'path'], 'names no bundle of management.bundles; a shadow takes none that is discovered');
  return { ...completed, sample: shadow.sample };
}

function complete(entry: Entry, at: Path, sources: PolicySources): PolicyConfig {
  const { opa, stateDir: state, signature: signed, bundle: _, ...rest } = entry;
  const stateDir = state === undefined ? undefined : resolve(sources.directory([...at, 'state_dir']), state);
  const bundle = completeBundle(entry, at, sources);
  const readsBundles = !['opa', 'module'].includes(entry.engine);
  const signature = signed && readsBundles ? completeSignature(signed, [...at, 'signature'], sources) : undefined;
  if (signed !== undefined && !readsBundles)
    sources.report([...at, 'signature'], `does not go with the engine ${entry.engine}, which reads no bundle here`);
  const policy = {
    ...rest,
    ...(signature && { signature }),
    // What is downloaded is a file like any other.
    path:
      bundle === undefined
        ? resolve(sources.directory([...at, 'path']), entry.path)
        : resolve(stateDir ?? '', `${entry.name}.download.tar.gz`),
    ...(bundle && { bundle }),
    ...(stateDir !== undefined && { stateDir }),
  };
  const section = [...at, 'opa'];
  // Where it is written it is read, whatever decides: `opallama bench` asks every engine that is described.
  if (policy.engine !== 'opa' && valueAt(sources.tree, section) === undefined) return policy;
  const loaded = loadOpa(valueAt(sources.tree, section), opa, policy.deadline, {
    ...sources,
    directory: (member) => sources.directory([...section, ...member]),
    report: (member, text) => sources.report([...section, ...member], text),
  });
  return { ...policy, opa: loaded };
}

function completeSignature(
  section: NonNullable<Entry['signature']>,
  at: Path,
  sources: PolicySources,
): SignatureConfig | undefined {
  const loaded = loadKey(section, (member) => sources.directory([...at, member]), sources);
  if (!('key' in loaded)) {
    sources.report(loaded.member === undefined ? at : [...at, loaded.member], loaded.fault);
    return undefined;
  }
  const { algorithm, key_id: keyId, scope, exclude_files: excludeFiles } = section;
  return { algorithm, ...loaded, keyId, scope, excludeFiles, allowUnsignedDeltas: section.allow_unsigned_deltas };
}

function completeBundle(entry: Entry, at: Path, sources: PolicySources): BundleConfig | undefined {
  const section = [...at, 'bundle'];
  const written = valueAt(sources.tree, section);
  const name = /^bundle:(.*)$/.exec(entry.path)?.[1];
  if (written !== undefined && !/^https?:/.test(entry.path)) {
    const advice = name === undefined ? '' : '; how this one is got says management.bundles';
    sources.report(section, `is for a policy.path that is a URL${advice}`);
  }
  if (name === undefined && !/^https?:/.test(entry.path)) return undefined;
  if (entry.stateDir === undefined)
    sources.report([...at, 'path'], 'a URL needs policy.state_dir, a directory in which the bundle is kept');
  if (['opa', 'module'].includes(entry.engine))
    sources.report([...at, 'path'], `the engine ${entry.engine} reads no bundle`);
  if (name !== undefined) return findBundle(name, [...at, 'path'], sources);
  const url = new URL(entry.path);
  const { tls, ...rest } = entry.bundle ?? bundleSchema.parse({});
  if (tls !== undefined && url.protocol !== 'https:')
    sources.report([...section, 'tls'], 'needs a policy.path that begins with https://');
  const loaded = loadTls(valueAt(written, ['tls']), upstreamTlsFiles, {
    readFile: sources.readFile,
    directory: (member) => sources.directory([...section, 'tls', member]),
    report: (member, text) => sources.report([...section, 'tls', member], text),
  });
  const token = loadToken(written, {
    ...sources,
    directory: (member) => sources.directory([...section, ...member]),
    report: (member, text) => sources.report([...section, ...member], text),
  });
  return { url, ...rest, ...token, tls: tls && loaded && { ...tls, ...loaded } };
}

/** Of `management.bundles`, or one that discovery is yet to name. */
function findBundle(name: string, at: Path, { management, report }: PolicySources): BundleConfig | undefined {
  const known = management?.bundles.find((bundle) => bundle.name === name)?.bundle;
  if (known !== undefined) return known;
  if (management?.discovery === undefined) {
    report(at, 'names no bundle of management.bundles, and there is no management.discovery that could name it');
    return undefined;
  }
  const { poll, longPoll, timeout, size } = management.discovery.bundle;
  const nowhere = { token: undefined, tokenSource: undefined, tls: undefined };
  return { url: new URL(`bundle:${name}`), name, ...nowhere, poll, longPoll, timeout, size };
}
