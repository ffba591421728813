/**
 * Certificates made at test time, X.509 v3 in DER by RFC 5280: Node signs, and these few lines write what is signed. See
 * docs/decisions/017-certificates-in-tests.md.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

export interface Issued {
  /** PEM */
  readonly cert: string;
  /** PEM, PKCS #8 */
  readonly key: string;
  readonly privateKey: KeyObject;
  readonly name: Readonly<Record<string, string>>;
}

export interface CertificateRequest {
  /** Relative names in order, `{ O: 'Example', CN: 'planner' }`. */
  readonly name: Readonly<Record<string, string>>;
  /** Self-signed where absent. */
  readonly issuer?: Issued;
  readonly isAuthority?: boolean;
  readonly dns?: readonly string[];
  readonly uris?: readonly string[];
  readonly ips?: readonly string[];
  readonly emails?: readonly string[];
  /** Alternative names that are directory names (RFC 5280 section 4.2.1.6). */
  readonly directories?: ReadonlyArray<Readonly<Record<string, string>>>;
  /** Microsoft's user principal names: names of the kind `otherName`. */
  readonly principals?: readonly string[];
  readonly from?: Date;
  readonly to?: Date;
}

const day = 86_400_000;

/** A certificate with a P-256 key of its own. */
export function issue(request: CertificateRequest): Issued {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const { name, issuer } = request;
  const from = request.from ?? new Date(Date.now() - day);
  const to = request.to ?? new Date(Date.now() + 30 * day);
  const algorithm = sequence(oid('1.2.840.10045.4.3.2'));
  const body = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    encodeName(issuer?.name ?? name),
    sequence(time(from), time(to)),
    encodeName(name),
    Buffer.from(publicKey.export({ type: 'spki', format: 'der' })),
    tagged(0xa3, sequence(...extensionsOf(request))),
  );
  const signature = sign('sha256', body, issuer?.privateKey ?? privateKey);
  const certificate = sequence(body, algorithm, tagged(0x03, Buffer.from([0]), signature));
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return {
    cert: ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n'),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    privateKey,
    name,
  };
}

export function issueAuthority(commonName: string): Issued {
  return issue({ name: { CN: commonName }, isAuthority: true });
}

function extensionsOf(request: CertificateRequest): Buffer[] {
  const {
    isAuthority = false,
    dns = [],
    uris = [],
    ips = [],
    emails = [],
    directories = [],
    principals = [],
  } = request;
  const names = [
    ...emails.map((email) => tagged(0x81, Buffer.from(email))),
    ...directories.map((directory) => tagged(0xa4, encodeName(directory))),
    ...principals.map((name) =>
      tagged(0xa0, oid('1.3.6.1.4.1.311.20.2.3'), tagged(0xa0, tagged(0x0c, Buffer.from(name)))),
    ),
    ...dns.map((name) => tagged(0x82, Buffer.from(name))),
    ...uris.map((uri) => tagged(0x86, Buffer.from(uri))),
    ...ips.map((ip) => tagged(0x87, Buffer.from(ip.split('.').map(Number)))),
  ];
  // Basic constraints are critical (RFC 5280 section 4.2.1.9).
  const constraints = sequence(
    oid('2.5.29.19'),
    tagged(0x01, Buffer.from([0xff])),
    tagged(0x04, sequence(...(isAuthority ? [tagged(0x01, Buffer.from([0xff]))] : []))),
  );
  return names.length === 0
    ? [constraints]
    : [constraints, sequence(oid('2.5.29.17'), tagged(0x04, sequence(...names)))];
}

const attributes: Readonly<Record<string, string>> = { CN: '2.5.4.3', O: '2.5.4.10', OU: '2.5.4.11', C: '2.5.4.6' };

function encodeName(name: Readonly<Record<string, string>>): Buffer {
  return sequence(
    ...Object.entries(name).map(([attribute, value]) =>
      tagged(0x31, sequence(oid(attributes[attribute] ?? ''), tagged(0x0c, Buffer.from(value)))),
    ),
  );
}

/** UTCTime, which RFC 5280 section 4.1.2.5 wants until 2049. */
function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]/g, '').slice(2, 14);
  return tagged(0x17, Buffer.from(`${digits}Z`));
}

function tagged(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
}

function sequence(...contents: readonly Buffer[]): Buffer {
  return tagged(0x30, ...contents);
}

/** @param bytes whose first bit is not set: the number is positive */
function integer(bytes: Buffer): Buffer {
  return tagged(0x02, bytes);
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tagged(0x06, Buffer.from(bytes));
}
