/** Signs a bundle as OPA does, so that OPA verifies it: a JWT over the hashes of its files in `.signatures.json`. */
import { createHash, type Hash, type KeyObject } from 'node:crypto';
import { basename } from 'node:path';

import jwt from 'jsonwebtoken';

import { PolicyError } from '../errors.ts';
import { readBaseDocument } from './base-document.ts';

export const signingAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'HS256',
  'HS384',
  'HS512',
] as const;

export interface Signing {
  readonly key: KeyObject;
  readonly algorithm: (typeof signingAlgorithms)[number];
  /** Beside the hashes: `keyid`, `scope` and whatever else those who verify ask for. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * @param files everything that is in the bundle but the signature itself
 * @returns the content of `.signatures.json`
 * @throws Error where key and algorithm don't fit
 */
export function signBundle(files: ReadonlyMap<string, Uint8Array>, signing: Signing): Uint8Array {
  const hashes = [...files]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, bytes]) => ({ name, hash: hashFile(name, bytes, createHash('sha256')), algorithm: 'SHA-256' }));
  const token = jwt.sign({ ...signing.claims, files: hashes }, signing.key, {
    algorithm: signing.algorithm,
    // The time would make other bytes of the same policy.
    noTimestamp: true,
  });
  return Buffer.from(`${JSON.stringify({ signatures: [token] })}\n`);
}

/**
 * Documents are hashed by what they say, everything else by its bytes (OPA's docs: bundle signature format).
 *
 * @returns hexadecimal digits
 * @throws where a document can't be read
 */
export function hashFile(name: string, bytes: Uint8Array, hash: Hash): string {
  const base = basename(name);
  const isYaml = /^data\.ya?ml$/.test(base);
  if (!isYaml && !['data.json', '.manifest'].includes(base)) return hash.update(bytes).digest('hex');
  const value = isYaml ? readYaml(name, bytes) : parseAsWritten(Buffer.from(bytes).toString('utf8'));
  write(value, (text) => hash.update(text));
  return hash.digest('hex');
}

function readYaml(name: string, bytes: Uint8Array): unknown {
  const read = readBaseDocument(name, bytes);
  if (Array.isArray(read)) throw new PolicyError(`${name} can't be read.`, read);
  return read;
}

/** Numbers count as they are written: to OPA 1.0 is not 1 there. */
function parseAsWritten(text: string): unknown {
  return JSON.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined ? JSON.rawJSON(source) : value,
  );
}

/** JSON without blanks, keys sorted by their bytes. */
function write(value: unknown, put: (text: string) => void): void {
  if (JSON.isRawJSON(value)) {
    put(JSON.stringify(value));
  } else if (Array.isArray(value)) {
    put('[');
    for (const [at, element] of value.entries()) {
      if (at > 0) put(',');
      write(element, put);
    }
    put(']');
  } else if (typeof value === 'object' && value !== null) {
    put('{');
    const members = Object.entries(value).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const [at, [key, member]] of members.entries()) {
      if (at > 0) put(',');
      put(`${encode(key)}:`);
      write(member, put);
    }
    put('}');
  } else {
    put(encode(value));
  }
}

/** As Go's encoder writes it: it escapes these two, and has no half surrogate pairs. */
function encode(value: unknown): string {
  const text = JSON.stringify(typeof value === 'string' ? value.toWellFormed() : value);
  return text.replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}
