/** The section `identity` of the configuration: who may enter, and by which keys that is known. */
import { z } from 'zod';

import { jwtAlgorithms } from '../jwt-algorithms.ts';
import { claims } from './claims-schema.ts';
import { clientCertificates } from './client-certificate-schema.ts';
import { duration, name, secretSources } from './fields.ts';
import { issuers } from './issuers-schema.ts';
import { kubernetes } from './kubernetes-schema.ts';
import { parseSshKey } from './ssh-key.ts';
import { tokenEndpoint } from './token-endpoint-schema.ts';
import { UnitError } from './units.ts';

const algorithm = z.enum(jwtAlgorithms);

const keyMembers = {
  algorithm: algorithm.describe('The one algorithm that tokens of this key may be signed with.'),
  ...secretSources,
  public_key_file: name().optional().describe('For RS, PS and ES: a public key or certificate in PEM.'),
};

/** What of an entry of `identity.jwt` its key is made from; read alone, so a fault elsewhere hides no fault of the key. */
export const jwtKeySchema = z.object(keyMembers);
export type JwtKeyMembers = z.output<typeof jwtKeySchema>;

const jwt = z
  .strictObject({
    ...keyMembers,
    kid: name().optional().describe('Only tokens with this kid are for this key.'),
    issuer: name().describe('The only accepted value of iss.'),
    audience: name().describe('Must be among the values of aud.'),
    claims,
    clock_tolerance: duration().prefault('0s').describe('Allowed difference of clocks, at most 5m.'),
  })
  .refine((entry) => entry.clock_tolerance <= 300_000, { path: ['clock_tolerance'], error: 'must be at most 5m' });

export type JwtMembers = z.output<typeof jwt>;

const sshKey = z.string().transform((line, context) => {
  try {
    return parseSshKey(line);
  } catch (error) {
    if (!(error instanceof UnitError)) throw error;
    context.addIssue({ code: 'custom', message: error.message });
    return z.NEVER;
  }
});

const ollamaKey = z
  .strictObject({
    id: name().describe("The caller's id."),
    public_key: sshKey.describe('The line of id_ed25519.pub: ssh-ed25519 AAAA...'),
    roles: z.array(name()).min(1).describe("The caller's roles."),
    agent_role: name().optional().describe('The role that the caller acts in.'),
    permissions: z.array(name()).default([]).describe("The caller's permissions."),
    tenant: name().optional().describe("The caller's tenant."),
    clock_tolerance: duration()
      .prefault('5m')
      .describe('Allowed difference between the time of a signature and now, 1s to 1h.'),
  })
  .refine((entry) => entry.clock_tolerance >= 1_000 && entry.clock_tolerance <= 3_600_000, {
    path: ['clock_tolerance'],
    error: 'must be from 1s to 1h',
  })
  .transform((entry) => ({
    id: entry.id,
    key: entry.public_key.key,
    publicKey: entry.public_key.base64,
    roles: entry.roles,
    agentRole: entry.agent_role,
    permissions: entry.permissions,
    tenant: entry.tenant,
    clockToleranceMs: entry.clock_tolerance,
  }));

/** One key is one caller: of two entries only one could ever be meant. */
const ollamaKeys = z
  .array(ollamaKey)
  .max(1024)
  .default([])
  .superRefine((entries, context) => {
    for (const [index, entry] of entries.entries()) {
      const twin = entries.findIndex((other) => other.publicKey === entry.publicKey);
      if (twin < index)
        context.addIssue({
          code: 'custom',
          path: [index, 'public_key'],
          message: `is the same key as identity.ollama_keys[${twin}]`,
        });
    }
  });

export const identity = z
  .strictObject({
    jwt: z.array(jwt).max(64).default([]),
    issuers: issuers.describe('Issuers of tokens that publish their keys.'),
    removed_key_grace: duration()
      .prefault('0s')
      .refine((ms) => ms <= 3_600_000, { error: 'must be at most 1h' })
      .describe('How long tokens of a key count after it was removed, at most 1h.'),
    api_keys: z
      .strictObject({ file: name().describe('The file that "opallama keys" writes; read again when it changes.') })
      .optional()
      .describe('API keys of callers.'),
    revocations: z
      .strictObject({ file: name().describe('What counts no longer, a list in YAML; read again when it changes.') })
      .optional()
      .describe('Tokens, API keys and certificates that count no longer although they are good.'),
    ollama_keys: ollamaKeys.describe("Keys of Ollama's own command line, which signs with OLLAMA_AUTH=1."),
    client_certificates: clientCertificates.describe('Certificates of callers, where listen.tls asks for them.'),
    kubernetes: kubernetes.optional().describe('Service accounts of a Kubernetes cluster.'),
    token_endpoint: tokenEndpoint.optional().describe('POST /auth/token, for clients with an id and a secret.'),
    anonymous: z
      .strictObject({ roles: z.array(name()).min(1) })
      .optional()
      .describe('The roles of callers without a credential; absent: nobody unknown enters.'),
    accept_unknown_credentials: z
      .boolean()
      .default(false)
      .describe('Treat a credential that is there and wrong as none, for SDKs that must send some key.'),
    role_precedence: z
      .array(name())
      .default([])
      .describe('Of several roles the first in this list is the agent role, where the token names none.'),
  })
  .prefault({})
  .refine(
    (value) =>
      !value.accept_unknown_credentials || value.anonymous !== undefined || value.client_certificates.length > 0,
    {
      path: ['accept_unknown_credentials'],
      error: 'needs identity.anonymous, whose roles such a caller gets, or identity.client_certificates',
    },
  )
  .transform((value) => ({
    jwt: value.jwt,
    issuers: value.issuers,
    removedKeyGrace: value.removed_key_grace,
    apiKeysFile: value.api_keys?.file,
    revocationsFile: value.revocations?.file,
    ollamaKeys: value.ollama_keys,
    clientCertificates: value.client_certificates,
    kubernetes: value.kubernetes,
    tokenEndpoint: value.token_endpoint,
    anonymous: value.anonymous,
    acceptUnknownCredentials: value.accept_unknown_credentials,
    rolePrecedence: value.role_precedence,
  }));
