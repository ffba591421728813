/**
 * Signed heads: at number N the chain had this hash. Kept where who can write the audit file can't write, they show what a
 * chain alone does not: lines that were cut off at its end, and a chain that was made anew.
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

import type { Link } from './seal.ts';

export const headReasons = ['start', 'interval', 'rotation', 'close'] as const;
export type HeadReason = (typeof headReasons)[number];

export interface Head extends Link {
  readonly chain: string;
  readonly time: string;
  readonly reason: string;
  /** Names the key, no more: the one who verifies has to have it. */
  readonly key: string;
}

/** @returns the head as one line of JSON, without its end; its last member signs all bytes before it */
export type SignHead = (facts: Omit<Head, 'key'>) => string;

/** @param key private, Ed25519 */
export function createSignHead(key: KeyObject): SignHead {
  const name = nameKey(createPublicKey(key));
  return ({ chain, seq, hash, time, reason }) => {
    const json = JSON.stringify({ event: 'audit_head', chain, seq, hash, time, reason, key: name });
    const signed = json.slice(0, -1);
    return `${signed},"signature":"${sign(null, Buffer.from(signed), key).toString('base64')}"}`;
  };
}

/** The first 16 hexadecimal digits of the SHA-256 of the public key's SPKI. */
export function nameKey(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 16);
}

const pattern = /^(\{.{1,1000}),"signature":"([A-Za-z0-9+/]{86}==)"\}$/;

/**
 * @param key public
 * @returns the head of a line; `forged` where the signature is not that of the key; undefined where the line is none
 */
export function readHead(line: string, key: KeyObject): Head | 'forged' | undefined {
  const [, signed, signature] = pattern.exec(line) ?? [];
  if (signed === undefined || signature === undefined || !signed.startsWith('{"event":"audit_head",')) return undefined;
  let value: unknown;
  try {
    if (!verify(null, Buffer.from(signed), key, Buffer.from(signature, 'base64'))) return 'forged';
    value = JSON.parse(`${signed}}`);
  } catch {
    return 'forged';
  }
  const facts: Readonly<Record<string, unknown>> = typeof value === 'object' && value !== null ? { ...value } : {};
  const { chain, seq, hash, time, reason, key: name } = facts;
  const isWhole =
    typeof chain === 'string' && typeof seq === 'number' && typeof hash === 'string' && typeof time === 'string';
  return isWhole ? { chain, seq, hash, time, reason: String(reason), key: String(name) } : undefined;
}
