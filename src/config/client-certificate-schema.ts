/** The entries of `identity.client_certificates`: what of a certificate is compared, and whose it then is. */
import { z } from 'zod';
import type { ClientCertificateConfig } from '../configured/identity.ts';
import { name } from './fields.ts';
import { isHostName, quote, UnitError } from './units.ts';

type Matcher = ClientCertificateConfig['match'];

/** A pattern that somebody believes to be one is a door that stays shut, and is asked about at the wrong place. */
function refuseGlob(text: string): void {
  if (text.includes('*'))
    throw new UnitError(
      `${quote(text)} is compared as it stands, "*" means nothing in it; write an entry for each name`,
    );
}

function parseUri(text: string): string {
  refuseGlob(text);
  if (!/^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$/.test(text))
    throw new UnitError(`${quote(text)} is not a URI such as spiffe://example.org/planner`);
  return text;
}

function parseDns(text: string): string {
  refuseGlob(text);
  if (!isHostName(text)) throw new UnitError(`${quote(text)} is not a host name`);
  return text.toLowerCase();
}

/** A whole name as OpenSSL writes it with the escapes of RFC 2253, section 2.4. */
const attribute = String.raw`(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)=(?:[^\p{Cc},+"\\<>;]|\\[ ,+"\\<>;#]|\\[0-9A-F]{2})*`;
const wholeSubject = new RegExp(`^${attribute}(?:(?:, | \\+ )${attribute})*$`, 'u');

function parseSubject(text: string): string {
  refuseGlob(text);
  if (!wholeSubject.test(text))
    throw new UnitError(
      `${quote(text)} is not a whole subject such as "O=Example, CN=planner", in the order of the certificate; print it: openssl x509 -noout -subject -nameopt esc_2253,esc_ctrl,utf8,sep_comma_plus_space,sname -in FILE`,
    );
  return text;
}

function parseFingerprint(text: string): string {
  if (!/^(?:[0-9a-f]{64}|[0-9a-f]{2}(?::[0-9a-f]{2}){31})$/i.test(text))
    throw new UnitError(
      'must be the SHA-256 fingerprint, 64 hexadecimal digits with or without colons: openssl x509 -noout -fingerprint -sha256 -in FILE',
    );
  return text.replaceAll(':', '').toLowerCase();
}

/** Text alone: a fingerprint of digits that is not in quotes would be read as a number, and not as the same digits. */
const exactly = (parse: (text: string) => string) =>
  z.string().transform((text, context) => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof UnitError)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });

const matchers: readonly Matcher[] = ['san_uri', 'san_dns', 'subject', 'fingerprint'];

const clientCertificate = z
  .strictObject({
    id: name().describe("The caller's id."),
    san_uri: exactly(parseUri).optional().describe('A URI among the alternative names, compared whole.'),
    san_dns: exactly(parseDns).optional().describe('A DNS name among the alternative names, compared whole.'),
    subject: exactly(parseSubject).optional().describe('The whole subject: "O=Example, CN=planner".'),
    fingerprint: exactly(parseFingerprint).optional().describe('SHA-256 of the certificate, hexadecimal.'),
    roles: z.array(name()).default([]).describe("The caller's roles."),
    agent_role: name().optional().describe('The role that the caller acts in.'),
    permissions: z.array(name()).default([]).describe("The caller's permissions."),
    tenant: name().optional().describe("The caller's tenant."),
    carries_tokens: z
      .boolean()
      .default(false)
      .describe('Tokens of other callers count on its connections, as on those of a service mesh.'),
  })
  .refine((entry) => matchers.filter((matcher) => entry[matcher] !== undefined).length === 1, {
    error: `needs exactly one of ${matchers.join(', ')}`,
  })
  .refine((entry) => entry.roles.length > 0 || entry.carries_tokens, {
    path: ['roles'],
    error: 'needs at least one role; only an entry with carries_tokens may have none, and then is no caller itself',
  })
  .transform((entry): ClientCertificateConfig => {
    const match = matchers.find((matcher) => entry[matcher] !== undefined) ?? 'fingerprint';
    return {
      match,
      value: entry[match] ?? '',
      id: entry.id,
      roles: entry.roles,
      agentRole: entry.agent_role,
      permissions: entry.permissions,
      tenant: entry.tenant,
      carriesTokens: entry.carries_tokens,
    };
  });

/** One id is one caller: whichever of its entries matches, nothing else may depend on that. */
export const clientCertificates = z
  .array(clientCertificate)
  .max(4096)
  .default([])
  .superRefine((entries, context) => {
    const byValue = new Map<string, number>();
    const byId = new Map<string, number>();
    for (const [index, entry] of entries.entries()) {
      const twin = byValue.get(`${entry.match} ${entry.value}`);
      if (twin === undefined) byValue.set(`${entry.match} ${entry.value}`, index);
      else report(context, [index, entry.match], `is the same as that of identity.client_certificates[${twin}]`);
      const namesake = byId.get(entry.id);
      if (namesake === undefined) byId.set(entry.id, index);
      else if (!isSameCaller(entry, entries[namesake]))
        report(
          context,
          [index, 'id'],
          `is that of identity.client_certificates[${namesake}], which differs in more than how it is matched`,
        );
    }
  });

function report(context: z.RefinementCtx, path: (string | number)[], message: string): void {
  context.addIssue({ code: 'custom', path, message });
}

function isSameCaller(a: ClientCertificateConfig, b: ClientCertificateConfig | undefined): boolean {
  const caller = (entry: ClientCertificateConfig | undefined): string =>
    JSON.stringify({ ...entry, match: undefined, value: undefined });
  return caller(a) === caller(b);
}
