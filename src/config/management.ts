import { resolve } from 'node:path';
import type { z } from 'zod';
import type { DiscoveryConfig, ManagementConfig, NamedBundle, ServiceConfig } from '../configured/management.ts';
import { bundleOfService } from '../service-bundle.ts';
import type { Path } from './faults.ts';
import { loadKey } from './keys.ts';
import { valueAt } from './layers.ts';
import type { management as managementSchema } from './management-schema.ts';
import { loadToken } from './opa.ts';
import type { PolicySources } from './policies.ts';
import { loadTls, upstreamTlsFiles } from './tls.ts';

type Section = NonNullable<z.output<typeof managementSchema>>;

/** Finds the services that sections name, and reads the files that they refer to. Faults are reported. */
export function loadManagement(section: Section, sources: PolicySources): ManagementConfig {
  const { report } = sources;
  const services = section.services.map((entry, index): ServiceConfig => {
    const at = ['management', 'services', index];
    if (section.services.findIndex(({ name }) => name === entry.name) < index)
      report([...at, 'name'], 'is the name of another service too');
    const written = valueAt(sources.tree, at);
    const tls = loadTls(valueAt(written, ['tls']), upstreamTlsFiles, {
      readFile: sources.readFile,
      directory: (member) => sources.directory([...at, 'tls', member]),
      report: (member, text) => report([...at, 'tls', member], text),
    });
    const token = loadToken(written, {
      ...sources,
      directory: (member) => sources.directory([...at, ...member]),
      report: (member, text) => report([...at, ...member], text),
    });
    const { name, url, allowHttp, timeout } = entry;
    return { name, url, allowHttp, timeout, ...token, tls: entry.tls && tls && { ...entry.tls, ...tls } };
  });
  const find = (name: string, at: Path): ServiceConfig | undefined => {
    const found = services.find((service) => service.name === name);
    if (found === undefined) report(at, 'is no service of management.services');
    return found;
  };
  const bundles = section.bundles.flatMap((entry, index): NamedBundle[] => {
    const at = ['management', 'bundles', index];
    if (section.bundles.findIndex(({ name }) => name === entry.name) < index)
      report([...at, 'name'], 'is the name of another bundle too');
    const service = find(entry.service, [...at, 'service']);
    const path = entry.resource ?? `bundles/${entry.name}`;
    if (service === undefined) return [];
    const { name, service: from, ...polling } = entry;
    return [
      { name, service: from, resource: path, bundle: bundleOfService(service, { ...polling, name, resource: path }) },
    ];
  });
  const { status, decisionLogs, discovery } = section;
  const statusService = status && find(status.service, ['management', 'status', 'service']);
  const logService = decisionLogs && find(decisionLogs.service, ['management', 'decision_logs', 'service']);
  return {
    labels: section.labels,
    services,
    bundles,
    status: status && statusService && { ...status, service: statusService },
    decisionLogs: decisionLogs &&
      logService && { ...decisionLogs, service: logService, resource: `/${decisionLogs.resource}` },
    discovery: discovery && loadDiscovery(discovery, find, sources),
  };
}

function loadDiscovery(
  section: NonNullable<Section['discovery']>,
  find: (name: string, at: Path) => ServiceConfig | undefined,
  sources: PolicySources,
): DiscoveryConfig | undefined {
  const at = ['management', 'discovery'];
  const service = find(section.service, [...at, 'service']);
  const { signature: signed, resource, decision } = section;
  let signature: DiscoveryConfig['signature'];
  if (signed !== undefined) {
    const loaded = loadKey(signed, (member) => sources.directory([...at, 'signature', member]), sources);
    if ('key' in loaded) {
      const { algorithm, key_id: keyId, scope, exclude_files: excludeFiles } = signed;
      signature = { algorithm, ...loaded, keyId, scope, excludeFiles };
    } else sources.report([...at, 'signature', ...(loaded.member === undefined ? [] : [loaded.member])], loaded.fault);
  }
  return (
    service && {
      service: service.name,
      resource,
      decision,
      bundle: bundleOfService(service, { ...section, name: 'discovery' }),
      stateDir: resolve(sources.directory([...at, 'state_dir']), section.stateDir),
      signature,
    }
  );
}
