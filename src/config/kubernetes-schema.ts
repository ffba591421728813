/** The section `identity.kubernetes`: service accounts of a cluster, by their projected tokens. */
import { z } from 'zod';

import { duration, name, parsed } from './fields.ts';
import { parseHttpsUrl } from './issuers-schema.ts';

/** Where Kubernetes mounts them in every pod that has a service account. */
const mounted = '/var/run/secrets/kubernetes.io/serviceaccount';

const objectName = z.string().regex(/^(?:\*|[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)$/, {
  error: 'must be a name of Kubernetes, or * for any',
});

const serviceAccount = z
  .strictObject({
    namespace: objectName.describe('Its namespace; * for any.'),
    name: objectName.describe('Its name; * for any.'),
    roles: z.array(name()).describe("The caller's roles; none where policy decides by its claims."),
    agent_role: name().optional().describe('The role that the caller acts in.'),
    permissions: z.array(name()).default([]).describe("The caller's permissions."),
    tenant: name().optional().describe("The caller's tenant. Default: its namespace."),
  })
  .transform(({ agent_role: agentRole, tenant, ...entry }) => ({ ...entry, agentRole, tenant }));

export const kubernetes = z
  .strictObject({
    audience: name().describe('Must be among the values of aud; ask for it in the projected volume.'),
    issuer: name()
      .default('https://kubernetes.default.svc.cluster.local')
      .describe("The cluster's issuer: kubectl get --raw /.well-known/openid-configuration"),
    algorithms: z
      .array(z.enum(['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512']))
      .min(1)
      .default(['RS256', 'ES256'])
      .describe('The only ones that tokens may be signed with.'),
    api_server: parsed(parseHttpsUrl, 'a URL that begins with https://')
      .prefault('https://kubernetes.default.svc')
      .describe('Where the keys are asked for, at /openid/v1/jwks.'),
    ca_file: name().default(`${mounted}/ca.crt`).describe('The authority of the API server, read anew each time.'),
    token_file: name()
      .default(`${mounted}/token`)
      .describe("The sidecar's own token for the API server, read anew each time."),
    jwks_file: name()
      .optional()
      .describe('A file with the keys, in the place of the API server; read when it changes.'),
    max_lifetime: duration().prefault('24h').describe('Tokens that are valid for longer are refused; at least 10m.'),
    clock_tolerance: duration().prefault('0s').describe('Allowed difference of clocks, at most 5m.'),
    service_accounts: z
      .array(serviceAccount)
      .min(1)
      .max(10_000)
      .describe('Who may enter; the first entry that fits counts, and who fits none is refused.'),
  })
  .refine(({ audience, issuer, api_server: api }) => audience !== issuer && !isOfApiServer(audience, api), {
    path: ['audience'],
    error: 'is that of the API server: whoever gets such a token could use it there. Choose another, such as opallama',
  })
  .refine((section) => section.clock_tolerance <= 300_000, { path: ['clock_tolerance'], error: 'must be at most 5m' })
  .refine((section) => section.max_lifetime >= 600_000, { path: ['max_lifetime'], error: 'must be at least 10m' });

export type KubernetesMembers = z.output<typeof kubernetes>;

/** The audiences that API servers take by default are their issuer and names like these. */
function isOfApiServer(audience: string, api: URL): boolean {
  return (
    /^(?:https:\/\/)?kubernetes(?:\.default(?:\.svc(?:\.cluster\.local)?)?)?$/.test(audience) ||
    URL.parse(audience)?.origin === api.origin
  );
}
