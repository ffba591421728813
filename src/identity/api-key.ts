/**
 * API keys: `opl_<id>_<secret>`. The id, 60 bits in base32, is no secret: it stands in lists and logs. The secret is 256 bits
 * at random in base64url, so one round of SHA-256 with a salt keeps it (docs/decisions/029-hash-of-api-keys.md).
 */
import { hash, randomBytes } from 'node:crypto';

/** What every key begins with, for people and for scanners of repositories. */
export const apiKeyStart = 'opl_';

const pattern = /^opl_([a-z2-7]{12})_[A-Za-z0-9_-]{43}$/;
const hashPattern = /^sha256:([A-Za-z0-9_-]{22}):([A-Za-z0-9_-]{43})$/;
const base32 = 'abcdefghijklmnopqrstuvwxyz234567';

export interface ApiKeyHash {
  /** 16 bytes */
  readonly salt: Buffer;
  /** 32 bytes */
  readonly digest: Buffer;
}

/** @returns the key's id; undefined for something that is no key */
export function readApiKeyId(key: string): string | undefined {
  return pattern.exec(key)?.[1];
}

export function hashApiKey(key: string, salt: Buffer): Buffer {
  return hash('sha256', Buffer.concat([salt, Buffer.from(key, 'latin1')]), 'buffer');
}

export function parseApiKeyHash(text: string): ApiKeyHash | undefined {
  const [, salt, digest] = hashPattern.exec(text) ?? [];
  if (salt === undefined || digest === undefined) return undefined;
  return { salt: Buffer.from(salt, 'base64url'), digest: Buffer.from(digest, 'base64url') };
}

/** @returns a new key, shown once, and what is kept of it */
export function createApiKey(): { readonly id: string; readonly key: string; readonly hash: string } {
  const id = Array.from(randomBytes(12), (byte) => base32[byte & 31]).join('');
  const key = `${apiKeyStart}${id}_${randomBytes(32).toString('base64url')}`;
  const salt = randomBytes(16);
  return { id, key, hash: `sha256:${salt.toString('base64url')}:${hashApiKey(key, salt).toString('base64url')}` };
}
