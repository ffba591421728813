/**
 * Certificates of callers as an identity. The listener verified the chain before any request; here a certificate that
 * verifies is looked up among the configured ones, each name compared whole, and its time is looked at with every request:
 * a connection may outlive it.
 */
import { createHash, type X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ClientCertificateConfig } from '../configured/identity.ts';
import { RequestError } from '../errors.ts';
import type { Principal } from '../types.ts';
import { readAlternativeNames } from './alternative-names.ts';
import { challenge } from './challenge.ts';
import { createRevocations, type Revocations } from './revocations.ts';

/** The configured entry that a connection's certificate maps to. */
export interface Certified {
  readonly principal: Principal;
  /** Tokens of other callers count on this connection. */
  readonly carriesTokens: boolean;
  /** False for an entry without roles: it only carries. */
  readonly calls: boolean;
}

/**
 * @returns undefined where the connection has no verified certificate, or one that maps to nobody
 * @throws RequestError 401 `certificate_expired`, `certificate_revoked`, `ambiguous_certificate`
 */
export type Certify = (socket: Socket) => Certified | undefined;

interface Known {
  readonly certified: Certified | 'nobody' | 'ambiguous';
  readonly expiresMs: number;
  readonly fingerprint: string;
  readonly serial: string;
  /** Of the list of revocations that it was checked with last. */
  generation: number | undefined;
}

/**
 * For a listener that asks for certificates, with entries or without: expiry is looked at in any case.
 *
 * @param revocations asked about each certificate when it comes first and whenever the list has changed since
 * @param now the clock, ms
 */
export function createCertify(
  entries: readonly ClientCertificateConfig[],
  revocations: Revocations = createRevocations(),
  now: () => number = Date.now,
): Certify {
  const find = createLookup(entries);
  // A connection keeps its certificate: renegotiation is off, and nothing asks for another one.
  const connections = new WeakMap<Socket, Known>();

  return function certify(socket) {
    let known = connections.get(socket);
    if (known === undefined) {
      if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
      const certificate = socket.getPeerX509Certificate();
      if (certificate === undefined) return undefined;
      known = {
        certified: find(certificate),
        expiresMs: certificate.validToDate.getTime(),
        fingerprint: fingerprintOf(certificate),
        serial: certificate.serialNumber,
        generation: undefined,
      };
      connections.set(socket, known);
    }
    if (known.generation !== revocations.generation) {
      if (revocations.ofCertificate(known.fingerprint, known.serial, now()))
        throw new RequestError('certificate_revoked', undefined, challenge('the certificate was revoked'));
      known.generation = revocations.generation;
    }
    // Said so that what can't be compared with is expired too.
    if (!(now() < known.expiresMs))
      throw new RequestError('certificate_expired', undefined, challenge('the certificate of the connection expired'));
    if (known.certified === 'ambiguous')
      throw new RequestError('ambiguous_certificate', undefined, challenge('the certificate is of several callers'));
    return known.certified === 'nobody' ? undefined : known.certified;
  };
}

function createLookup(entries: readonly ClientCertificateConfig[]) {
  // The kind stands before the name, so that no name of one kind passes for one of another.
  const byName = new Map<string, ClientCertificateConfig>();
  const certifiedBy = new Map<string, Certified>();
  for (const entry of entries) {
    byName.set(`${entry.match} ${entry.value}`, entry);
    if (!certifiedBy.has(entry.id)) certifiedBy.set(entry.id, toCertified(entry));
  }

  return function find(certificate: X509Certificate): Certified | 'nobody' | 'ambiguous' {
    if (byName.size === 0) return 'nobody';
    const names = namesOf(certificate);
    // One of its names might be another caller's.
    if (names === undefined) return 'ambiguous';
    const ids = new Set(names.map((name) => byName.get(name)?.id).filter((id) => id !== undefined));
    if (ids.size > 1) return 'ambiguous';
    const [id] = ids;
    return (id === undefined ? undefined : certifiedBy.get(id)) ?? 'nobody';
  };
}

/** Everything that an entry may name; undefined where the certificate's names can't be read. */
function namesOf(certificate: X509Certificate): readonly string[] | undefined {
  const alternative = readAlternativeNames(certificate.subjectAltName ?? '');
  if (alternative === undefined) return undefined;
  // Node writes a name a line; a comma or a line feed within one is escaped (RFC 2253 section 2.4), so this stays whole.
  // There is none at all where the certificate's is empty, whatever the types say.
  const subject = certificate.subject?.replaceAll('\n', ', ');
  return [
    `fingerprint ${fingerprintOf(certificate)}`,
    ...(subject === undefined ? [] : [`subject ${subject}`]),
    ...alternative.dns.map((name) => `san_dns ${name}`),
    ...alternative.uri.map((uri) => `san_uri ${uri}`),
  ];
}

function fingerprintOf(certificate: X509Certificate): string {
  return createHash('sha256').update(certificate.raw).digest('hex');
}

function toCertified(entry: ClientCertificateConfig): Certified {
  return {
    principal: {
      id: entry.id,
      kind: 'client_certificate',
      roles: entry.roles,
      agentRole: entry.agentRole,
      permissions: entry.permissions,
      tenant: entry.tenant,
      claims: {},
    },
    carriesTokens: entry.carriesTokens,
    calls: entry.roles.length > 0,
  };
}
