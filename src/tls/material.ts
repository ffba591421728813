/**
 * Certificates, keys and authorities as PEM, checked before anything trusts or presents them: at the start, and again
 * whenever their files change. What is wrong is said without a byte of what the files hold.
 */
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

import type { TlsMaterial, TlsPart } from '../configured/tls.ts';

export interface TlsFault {
  readonly part: TlsPart;
  /** Ends the sentence "`cert_file`: ...". */
  readonly text: string;
}

export const tlsParts: readonly TlsPart[] = ['cert', 'key', 'ca'];

export type TlsBytes = Readonly<Partial<Record<TlsPart, Uint8Array | undefined>>>;

/**
 * @param bytes the contents of the files that are configured; a certificate comes with its key
 * @param nowMs the clock, Unix time
 * @returns what connections are made with, or every fault that was found
 */
export function checkMaterial(
  bytes: TlsBytes,
  nowMs: number,
): { readonly material: TlsMaterial } | { readonly faults: readonly TlsFault[] } {
  const faults: TlsFault[] = [];
  const report = (part: TlsPart, text: string): void => {
    faults.push({ part, text });
  };
  const chain = bytes.cert && readCertificates(bytes.cert, (text) => report('cert', text));
  const key = bytes.key && readKey(bytes.key, (text) => report('key', text));
  const authorities = bytes.ca && readCertificates(bytes.ca, (text) => report('ca', text));
  const [leaf] = chain ?? [];
  if (leaf !== undefined) {
    if (leaf.validToDate.getTime() <= nowMs) report('cert', `expired on ${leaf.validToDate.toISOString()}`);
    if (leaf.validFromDate.getTime() > nowMs) report('cert', `is not valid before ${leaf.validFromDate.toISOString()}`);
    if (key !== undefined && !isKeyOf(key, leaf)) {
      if (chain?.some((certificate) => isKeyOf(key, certificate)) === true)
        report('cert', "the key's own certificate must come first, then those that signed it");
      else report('key', 'does not belong to the certificate');
    }
  }
  if (authorities?.every((authority) => authority.validToDate.getTime() <= nowMs) === true)
    report('ca', 'every certificate in it has expired');

  const parts: Partial<Record<TlsPart, Buffer>> = {};
  for (const part of tlsParts) {
    const pem = bytes[part];
    if (pem !== undefined) parts[part] = Buffer.from(pem);
  }
  const material: TlsMaterial = {
    parts,
    subject: leaf?.subject.replaceAll('\n', ', '),
    expiresMs: leaf?.validToDate.getTime(),
  };
  if (faults.length === 0) {
    const refusal = tryContext(parts);
    if (refusal !== undefined) report(bytes.cert === undefined ? 'ca' : 'cert', refusal);
  }
  return faults.length === 0 ? { material } : { faults };
}

type Report = (text: string) => void;

const block = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----.*?-----END (?:X509 |TRUSTED )?CERTIFICATE-----/gs;

/** Every certificate of a file; undefined, and a report, where one of them can't be read or there is none. */
function readCertificates(pem: Uint8Array, report: Report): readonly X509Certificate[] | undefined {
  const blocks = Buffer.from(pem).toString('latin1').match(block) ?? [];
  if (blocks.length === 0) {
    report('holds no certificate in PEM');
    return undefined;
  }
  try {
    return blocks.map((text) => new X509Certificate(text));
  } catch {
    report('holds a certificate that cannot be read');
    return undefined;
  }
}

function readKey(pem: Uint8Array, report: Report): KeyObject | undefined {
  const text = Buffer.from(pem).toString('latin1');
  // A passphrase beside the key that it opens would protect nothing, so there is no member for one.
  if (/BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED/.test(text)) {
    report(
      'is encrypted; write it without a passphrase, readable by this process only: openssl pkey -in KEY -out PLAIN',
    );
    return undefined;
  }
  try {
    return createPrivateKey(Buffer.from(pem));
  } catch {
    report('holds no private key in PEM that can be read');
    return undefined;
  }
}

/**
 * By their encodings, because `X509Certificate.checkPrivateKey` with a key of another type leaves an error in OpenSSL's
 * queue by which the next key that is read may fail.
 */
function isKeyOf(key: KeyObject, certificate: X509Certificate): boolean {
  const [own, certified] = [createPublicKey(key), certificate.publicKey].map((publicKey) =>
    Buffer.from(publicKey.export({ type: 'spki', format: 'der' })),
  );
  return own !== undefined && certified !== undefined && own.equals(certified);
}

/** OpenSSL's own objections, to a key that is too small for instance; undefined if it has none. */
function tryContext(parts: TlsMaterial['parts']): string | undefined {
  try {
    createSecureContext(parts);
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    return `OpenSSL does not take it${code}`;
  }
}
