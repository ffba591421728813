import { resolve } from 'node:path';
import type { z } from 'zod';
import type { Config } from '../configured/config.ts';
import type { JwtConfig } from '../configured/identity.ts';
import { ConfigError } from '../errors.ts';
import { loadAdminTokens } from './admin.ts';
import { loadAudit } from './audit.ts';
import { describeIssue, describeUnknown, type Fault, formatFaults, type Path, type Place } from './faults.ts';
import { type JwtMembers, jwtKeySchema } from './identity-schema.ts';
import { isSameKey, loadKey } from './keys.ts';
import { toKubernetes } from './kubernetes.ts';
import { isMap, placeOf, valueAt } from './layers.ts';
import { loadManagement } from './management.ts';
import { memberAt } from './members.ts';
import { addressOf, defaultUpstream, isSameAddress, parseOllamaHost } from './ollama-host.ts';
import { listPolicies, type PolicySources, readShadow } from './policies.ts';
import { printSize } from './print-units.ts';
import { configSchema } from './schema.ts';
import { loadShipping } from './ship.ts';
import { type ConfigSources, type MergedSources, mergeSources } from './sources.ts';
import { type LoadedTls, listenTlsFiles, loadTls, type TlsMembers, upstreamTlsFiles } from './tls.ts';
import { loadSigningKey, toTokenEndpoint } from './token-endpoint.ts';
import { parseBaseUrl, UnitError } from './units.ts';

export type { ConfigSources, Flag } from './sources.ts';

/**
 * Loads the configuration: flags over environment over file over defaults; design section 12.
 *
 * @returns durations in ms, sizes in bytes, keys as `KeyObject`s, paths absolute: a path in the file is relative to the
 *   file's directory, any other to `cwd`
 * @throws ConfigError with every fault that was found, each with its place in the file, its variable or its flag
 */
export function loadConfig(sources: ConfigSources): Config {
  const merged = mergeSources(sources);
  const faults = [...merged.faults];
  // Checking what an unreadable file would have said only adds faults that are none.
  const config = merged.readable ? checkMembers(sources, merged, faults) : undefined;
  if (config === undefined || faults.length > 0) throw new ConfigError(formatFaults(faults));
  return config;
}

/**
 * The policies of the section `policy` alone, for commands that work on policies and need no key and no listener.
 *
 * @throws ConfigError for faults of that section, or a file that can't be read
 */
export function loadPolicySection(sources: ConfigSources): Config['policies'] {
  const merged = mergeSources(sources);
  const { layers, whole } = merged;
  const faults = [...merged.faults];
  const report = (path: Path, text: string): void => {
    faults.push({ place: placeOf(layers, path, whole), path, text });
  };
  const result = configSchema.shape.policy.safeParse(valueAt(layers.tree, ['policy']));
  for (const issue of merged.readable ? (result.error?.issues ?? []) : []) {
    const path = ['policy', ...issue.path.filter((part) => typeof part !== 'symbol')];
    for (const fault of describeIssue(issue, path, valueAt(layers.tree, path))) report(fault.path, fault.text);
  }
  const forPolicies = policySources(sources, merged, report);
  const managing = configSchema.shape.management.safeParse(valueAt(layers.tree, ['management']));
  const management = managing.data && loadManagement(managing.data, forPolicies);
  const policies = result.success ? listPolicies(result.data, { ...forPolicies, management }) : [];
  if (!result.success || faults.length > 0) throw new ConfigError(formatFaults(faults));
  return policies;
}

function policySources(sources: ConfigSources, merged: MergedSources, report: Report): PolicySources {
  return {
    env: sources.env,
    cwd: sources.cwd,
    readFile: sources.readFile,
    tree: merged.layers.tree,
    directory: (path) => directoryOf(sources, merged, path),
    report,
  };
}

/** Checks each section on its own, so that a fault in one hides none in another. Adds to `faults`. */
function checkMembers(sources: ConfigSources, merged: MergedSources, faults: Fault[]): Config | undefined {
  const { layers, whole } = merged;
  const report = (path: Path, text: string): void => {
    faults.push({ place: placeOf(layers, path, whole), path, text });
  };
  const check = <S extends z.ZodType>(name: string, schema: S): z.output<S> | undefined => {
    const result = schema.safeParse(valueAt(layers.tree, [name]));
    if (result.success) return result.data;
    for (const issue of result.error.issues) {
      const path = [name, ...issue.path.filter((part) => typeof part !== 'symbol')];
      for (const fault of describeIssue(issue, path, valueAt(layers.tree, path))) report(fault.path, fault.text);
    }
    return undefined;
  };

  const loadTlsOf = (path: Path, names: TlsMembers): LoadedTls | undefined =>
    loadTls(valueAt(layers.tree, path), names, {
      readFile: sources.readFile,
      directory: (member) => directoryOf(sources, merged, [...path, member]),
      report: (member, text) => report([...path, member], text),
    });

  const absolute = (path: Path, value: string | undefined): string | undefined =>
    value === undefined ? undefined : resolve(directoryOf(sources, merged, path), value);

  const { shape } = configSchema;
  for (const name of Object.keys(isMap(layers.tree) ? layers.tree : {})) {
    if (!Object.hasOwn(shape, name)) report([name], describeUnknown([name]));
  }
  const workers = check('workers', shape.workers);
  const listen = check('listen', shape.listen);
  const upstream = check('upstream', shape.upstream);
  const cors = check('cors', shape.cors);
  const prefixes = check('prefixes', shape.prefixes);
  const policy = check('policy', shape.policy);
  const identity = check('identity', shape.identity);
  const timeouts = check('timeouts', shape.timeouts);
  const limits = check('limits', shape.limits);
  const audit = check('audit', shape.audit);
  const admin = check('admin', shape.admin);
  const shutdown = check('shutdown', shape.shutdown);
  const log = check('log', shape.log);
  const managing = check('management', shape.management);

  const forManagement = policySources(sources, merged, report);
  const management = managing && loadManagement(managing, forManagement);
  const forPolicies = { ...forManagement, management };
  const policies = policy && listPolicies(policy, forPolicies);
  const names = policies?.map(({ name }) => name) ?? [];
  const shadow = policy && readShadow(policy, names, forPolicies);
  const keys = loadKeys(sources, merged, report);
  const inFile = policySources(sources, merged, report);
  const tokens = loadAdminTokens(inFile);
  const signingKey = loadSigningKey(inFile);
  const issuerTls = identity?.issuers.map(({ tls }, index) => {
    const loaded = loadTlsOf(['identity', 'issuers', index, 'tls'], upstreamTlsFiles);
    return tls && loaded && { ...tls, ...loaded };
  });
  const record = audit && { ...loadAudit(audit, inFile), ship: loadShipping(audit, inFile) };
  const listenTls = loadTlsOf(['listen', 'tls'], listenTlsFiles);
  const upstreamTls = loadTlsOf(['upstream', 'tls'], upstreamTlsFiles);
  if (
    identity !== undefined &&
    identity.jwt.length + identity.issuers.length + identity.ollamaKeys.length === 0 &&
    identity.apiKeysFile === undefined &&
    !identity.clientCertificates.some(({ roles }) => roles.length > 0) &&
    identity.anonymous === undefined &&
    identity.tokenEndpoint === undefined &&
    identity.kubernetes === undefined
  ) {
    report(
      ['identity'],
      'nobody could enter; add a key under identity.jwt, an issuer under identity.issuers, or roles for everybody under identity.anonymous',
    );
  }
  const base =
    upstream && chooseUpstream(upstream.baseUrl, sources.env, placeOf(layers, ['upstream', 'base_url'], whole), faults);
  if (listen !== undefined && listen.tls?.clientAuth === undefined && identity?.clientCertificates.length) {
    report(
      ['identity', 'client_certificates'],
      'needs listen.tls with client_ca_file, the authorities that vouch for callers; nobody is asked for a certificate otherwise',
    );
  }
  if (listen !== undefined) {
    const { data, ops } = listen;
    if (isSameAddress(data, ops)) {
      report(['listen', 'ops'], 'is the same address as listen.data; give each its own port');
    }
    const admins = tokens.length === 0 ? [] : [listen.admin];
    for (const address of admins) {
      if ([data, ops].some((other) => isSameAddress(address, other)))
        report(['listen', 'admin'], 'is the address of another listener; give each its own port');
    }
    if (base !== undefined && [data, ops, ...admins].some((listener) => isSameAddress(addressOf(base.url), listener))) {
      const advice = 'the upstream is an address of the sidecar itself; name the one where Ollama answers';
      faults.push({ place: base.place, path: ['upstream', 'base_url'], text: advice });
    }
  }

  if (workers !== undefined && limits !== undefined && limits.bodiesTotal < limits.body * workers) {
    report(
      ['limits', 'bodies_total'],
      `must be at least limits.body times workers, ${printSize(limits.body * workers)}: each of ${workers} workers has its part`,
    );
  }
  if (base !== undefined && upstream?.tls !== undefined && base.url.protocol !== 'https:') {
    report(['upstream', 'tls'], 'needs an upstream whose URL begins with https://');
  }

  if (!(listen && base && upstream && cors && prefixes && policies && identity && timeouts && limits)) return undefined;
  if (!(record && admin && shutdown && log)) return undefined;
  const jwt = identity.jwt.flatMap((entry, index) => {
    const key = keys[index];
    return key === undefined ? [] : [toJwtConfig(entry, key)];
  });
  reportTwins(jwt, report);
  const { tokenEndpoint: section, kubernetes: cluster, ...callers } = identity;
  const kubernetes = cluster && toKubernetes(cluster, inFile.directory);
  const tokenEndpoint = section && signingKey && toTokenEndpoint(section, signingKey, inFile);
  return {
    workers,
    listen: { ...listen, tls: listen.tls && listenTls && { ...listen.tls, ...listenTls } },
    upstream: {
      ...upstream,
      baseUrl: base.url,
      tls: upstream.tls && upstreamTls && { ...upstream.tls, ...upstreamTls },
    },
    cors,
    prefixes,
    policies,
    ...(shadow && { shadow }),
    identity: {
      ...callers,
      jwt,
      apiKeysFile: absolute(['identity', 'api_keys', 'file'], identity.apiKeysFile),
      revocationsFile: absolute(['identity', 'revocations', 'file'], identity.revocationsFile),
      issuers: identity.issuers.map((issuer, index) => ({ ...issuer, tls: issuerTls?.[index] })),
      ...(kubernetes && { kubernetes }),
      ...(tokenEndpoint && { tokenEndpoint }),
    },
    timeouts,
    limits,
    audit: record,
    admin: { ...admin, tokens },
    shutdown,
    ...(management && { management }),
    log,
  };
}

type Report = (path: Path, text: string) => void;
type UsableKey = Pick<JwtConfig, 'key' | 'source'>;

function loadKeys(sources: ConfigSources, merged: MergedSources, report: Report): Array<UsableKey | undefined> {
  const entries = valueAt(merged.layers.tree, ['identity', 'jwt']);
  return (Array.isArray(entries) ? entries : []).map((entry, index) => {
    const path = ['identity', 'jwt', index];
    const members = jwtKeySchema.safeParse(entry);
    // What is wrong then has been said by the check of the section.
    if (!members.success) return undefined;
    const loaded = loadKey(members.data, (member) => directoryOf(sources, merged, [...path, member]), sources);
    if ('key' in loaded) return loaded;
    // A member that is misspelt is the cause, not a second fault.
    const misspelt = isMap(entry) && Object.keys(entry).some((name) => memberAt([...path, name]) === undefined);
    if (loaded.member === undefined && misspelt) return undefined;
    report(loaded.member === undefined ? path : [...path, loaded.member], loaded.fault);
    return undefined;
  });
}

function toJwtConfig(entry: JwtMembers, { key, source }: UsableKey): JwtConfig {
  const { algorithm, kid, issuer, audience, claims } = entry;
  const common = { algorithm, key, kid, issuer, audience, claims, clockToleranceS: entry.clock_tolerance / 1_000 };
  return source === undefined ? common : { ...common, source };
}

/** The same key written twice is a slip of copying, most often of an entry whose file was to be changed. */
function reportTwins(entries: readonly JwtConfig[], report: Report): void {
  for (const [index, entry] of entries.entries()) {
    const twin = entries.findIndex(
      (other) =>
        other.algorithm === entry.algorithm &&
        other.kid === entry.kid &&
        other.issuer === entry.issuer &&
        other.audience === entry.audience &&
        isSameKey(other.key, entry.key),
    );
    if (twin < index) report(['identity', 'jwt', index], `is the same key as identity.jwt[${twin}]`);
  }
}

function directoryOf(sources: ConfigSources, merged: MergedSources, path: Path): string {
  return placeOf(merged.layers, path, { kind: 'none', label: '', order: 0 }).kind === 'file'
    ? merged.directory
    : sources.cwd;
}

/** The configuration's upstream, else that of Ollama's own variables, else Ollama's own default. */
function chooseUpstream(
  configured: URL | undefined,
  env: ConfigSources['env'],
  place: Place,
  faults: Fault[],
): { readonly url: URL; readonly place: Place } | undefined {
  if (configured !== undefined) return { url: configured, place };
  for (const [name, parse] of [['OLLAMA_BASE_URL', parseBaseUrl] as const, ['OLLAMA_HOST', parseOllamaHost] as const]) {
    const value = env[name]?.trim();
    if (value === undefined || value === '') continue;
    const variable: Place = { kind: 'variable', label: name, order: Number.MAX_SAFE_INTEGER };
    try {
      return { url: parse(value), place: variable };
    } catch (error) {
      if (!(error instanceof UnitError)) throw error;
      faults.push({ place: variable, path: [], text: error.message });
      return undefined;
    }
  }
  return { url: new URL(defaultUpstream), place };
}
