import { resolve } from 'node:path';
import type { KubernetesConfig } from '../configured/identity.ts';
import type { Path } from './faults.ts';
import type { KubernetesMembers } from './kubernetes-schema.ts';

/** The files are not looked for here: in a pod they are there, where a configuration is checked they need not be. */
export function toKubernetes(section: KubernetesMembers, directory: (path: Path) => string): KubernetesConfig {
  const at = (member: 'ca_file' | 'token_file' | 'jwks_file', path: string): string =>
    resolve(directory(['identity', 'kubernetes', member]), path);
  return {
    issuer: section.issuer,
    audience: section.audience,
    algorithms: section.algorithms,
    apiServer: section.api_server,
    caFile: at('ca_file', section.ca_file),
    tokenFile: at('token_file', section.token_file),
    jwksFile: section.jwks_file === undefined ? undefined : at('jwks_file', section.jwks_file),
    maxLifetimeS: section.max_lifetime / 1_000,
    clockToleranceS: section.clock_tolerance / 1_000,
    serviceAccounts: section.service_accounts,
  };
}
