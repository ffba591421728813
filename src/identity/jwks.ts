/** JSON Web Key Sets (RFC 7517): which of the keys that an issuer publishes can prove a token here. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';

import { z } from 'zod';
import type { JwtConfig } from '../configured/identity.ts';
import { misfitOf } from '../key-fit.ts';

type Algorithm = JwtConfig['algorithm'];

export interface PublishedKey {
  readonly key: KeyObject;
  readonly kid: string | undefined;
  readonly algorithms: readonly Algorithm[];
  /** Of all of the above: the same key in the next set has the same one. */
  readonly fingerprint: string;
}

export interface KeySet {
  readonly keys: readonly PublishedKey[];
  /** Why the others can't be used, a sentence each. */
  readonly ignored: readonly string[];
}

/** A set of a large provider has ten keys at most. */
const mostKeys = 100;

const setSchema = z.object({ keys: z.array(z.record(z.string(), z.unknown())).max(mostKeys) });

/** Members of RFC 7517 section 4 that say what a key is for; those of its material are read by Node. */
const jwkSchema = z.object({
  kty: z.enum(['RSA', 'EC']),
  use: z.literal('sig').optional(),
  key_ops: z.array(z.string()).optional(),
  alg: z.string().optional(),
  kid: z.string().min(1).max(512).optional(),
});

/** RFC 7515 section 2: base64url without padding; Node reads more than that. */
const encoded = z.string().regex(/^[A-Za-z0-9_-]+$/);
const rsaMaterial = z.object({ kty: z.literal('RSA'), n: encoded, e: encoded });
const ecMaterial = z.object({ kty: z.literal('EC'), crv: z.string(), x: encoded, y: encoded });

/**
 * A key of a kind that is not known here is passed over, as RFC 7517 section 5 wants, and so is one that is not for
 * signatures, is too weak, or holds a private part: it has been shown to everybody.
 *
 * @param algorithms those that are configured
 * @returns a text where it is no key set
 */
export function readKeySet(document: unknown, algorithms: readonly Algorithm[]): KeySet | string {
  const set = setSchema.safeParse(document);
  if (!set.success) return `it is no key set with at most ${mostKeys} keys`;
  const keys = new Map<string, PublishedKey>();
  const ignored: string[] = [];
  for (const [index, jwk] of set.data.keys.entries()) {
    const read = readKey(jwk, algorithms);
    if (typeof read === 'string') ignored.push(`key ${index}: ${read}`);
    else keys.set(read.fingerprint, read);
  }
  return { keys: [...keys.values()], ignored };
}

function readKey(jwk: Readonly<Record<string, unknown>>, configured: readonly Algorithm[]): PublishedKey | string {
  const members = jwkSchema.safeParse(jwk);
  if (!members.success) {
    const wrong = members.error.issues.map(({ path }) => String(path[0]));
    return `its ${wrong.join(', ')} can't be used`;
  }
  const { kty, key_ops: operations, alg, kid } = members.data;
  if (operations !== undefined && !operations.includes('verify')) return 'it is not for verifying';
  if (['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'].some((name) => Object.hasOwn(jwk, name)))
    return 'it holds a private part';
  let publicKey: KeyObject;
  try {
    // Only what a public key is made of: what else stands there must change nothing.
    const key = kty === 'RSA' ? rsaMaterial.parse(jwk) : ecMaterial.parse(jwk);
    publicKey = createPublicKey({ key, format: 'jwk' });
  } catch {
    return 'it can not be read';
  }
  const named = configured.filter((algorithm) => alg === undefined || algorithm === alg);
  if (named.length === 0) return 'its alg is none of those that are configured';
  const misfits = named.map((algorithm) => misfitOf(publicKey, algorithm));
  const algorithms = named.filter((_algorithm, index) => misfits[index] === undefined);
  if (algorithms.length === 0)
    return (named.length === 1 ? misfits[0] : undefined) ?? `it fits none of ${named.join(', ')}`;
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([kid ?? null, algorithms]))
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64url');
  return { key: publicKey, kid, algorithms, fingerprint };
}
