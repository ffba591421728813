/** Verifies a bundle as OPA does: a JWT in `.signatures.json` vouches for the hash of each file, and for no other file. */
import { createHash } from 'node:crypto';

import jwt from 'jsonwebtoken';
import { z } from 'zod';
import type { SignatureConfig } from '../configured/policy.ts';
import { PolicyError, type PolicyFault } from '../errors.ts';
import { hashFile } from './sign-bundle.ts';

export const signaturesFile = '.signatures.json';

/** OPA's names of hashes to Node's. MD5 and SHA-1, which it knows as well, vouch for nothing any more. */
const hashes: ReadonlyMap<string, string> = new Map([
  ['SHA-224', 'sha224'],
  ['SHA-256', 'sha256'],
  ['SHA-384', 'sha384'],
  ['SHA-512', 'sha512'],
  ['SHA-512-224', 'sha512-224'],
  ['SHA-512-256', 'sha512-256'],
]);

const envelope = z.object({ signatures: z.array(z.string()), plugin: z.string().optional() });
const claims = z.object({
  files: z.array(z.object({ name: z.string(), hash: z.string(), algorithm: z.string() })),
  scope: z.string().optional(),
  keyid: z.string().optional(),
});

type Vouched = z.infer<typeof claims>['files'][number];

/**
 * @param files everything in the bundle by path without a leading slash, manifest and signatures too
 * @param name of the bundle, for messages
 * @throws PolicyError where not every file is vouched for, or something is vouched for that is not there
 */
export function verifyBundle(files: ReadonlyMap<string, Uint8Array>, signature: SignatureConfig, name: string): void {
  const refusal = (why: string, cause?: unknown): PolicyError =>
    new PolicyError(`The bundle ${name} ${why} policy.signature asks for one that is signed.`, [], { cause });
  const signed = files.get(signaturesFile);
  if (signed === undefined) throw refusal(`has no ${signaturesFile}.`);
  const [token, ...others] = readEnvelope(signed) ?? [];
  if (token === undefined) throw refusal(`has a ${signaturesFile} without a signature that can be read.`);
  if (others.length > 0) throw refusal(`has ${others.length + 1} signatures; one is expected.`);
  const { keyid, scope = '', files: listed } = readToken(token, signature, refusal);
  if (signature.keyId !== undefined && keyid !== undefined && keyid !== signature.keyId)
    throw refusal(`is signed by the key ${JSON.stringify(keyid)}, not ${JSON.stringify(signature.keyId)}.`);
  if (scope !== (signature.scope ?? ''))
    throw refusal(`is signed for the scope ${JSON.stringify(scope)}, not ${JSON.stringify(signature.scope ?? '')}.`);
  const faults = compare(files, listed, new Set(signature.excludeFiles));
  if (faults.length > 0) throw new PolicyError(`The bundle ${name} is not what was signed.`, faults);
}

function readEnvelope(bytes: Uint8Array): readonly string[] | undefined {
  try {
    const parsed = envelope.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    // A plugin is a program of somebody's OPA; what it would say is not known here.
    return parsed.success && ['', '_default'].includes(parsed.data.plugin ?? '') ? parsed.data.signatures : undefined;
  } catch {
    return undefined;
  }
}

function readToken(
  token: string,
  { key, algorithm }: SignatureConfig,
  refusal: (why: string, cause: unknown) => PolicyError,
): z.infer<typeof claims> {
  let verified: jwt.Jwt;
  try {
    verified = jwt.verify(token, key, { algorithms: [algorithm], complete: true });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw refusal(`has a signature that does not count: ${why}.`, cause);
  }
  const parsed = claims.safeParse(verified.payload);
  if (!parsed.success) throw refusal('has a signature that lists no files.', parsed.error);
  const { kid } = verified.header;
  // OPA looks at the header first; the claim is its older way.
  return { ...parsed.data, keyid: kid ?? parsed.data.keyid };
}

function compare(
  files: ReadonlyMap<string, Uint8Array>,
  listed: readonly Vouched[],
  excluded: ReadonlySet<string>,
): PolicyFault[] {
  const faults: PolicyFault[] = [];
  const report = (file: string, message: string): void => {
    faults.push({ code: 'signature', message, file, row: undefined, column: undefined });
  };
  const vouched = new Map<string, Vouched>();
  for (const entry of listed) {
    const name = entry.name.replace(/^\/+/, '');
    if (vouched.has(name)) report(name, 'stands twice in the signature');
    vouched.set(name, entry);
  }
  for (const [name, bytes] of files) {
    if (name === signaturesFile || excluded.has(name)) continue;
    const entry = vouched.get(name);
    if (entry === undefined) report(name, 'is not in the signature');
    else {
      const why = misfit(name, bytes, entry);
      if (why !== undefined) report(name, why);
    }
  }
  // A rule that denies may be what was taken out.
  for (const name of vouched.keys())
    if (!files.has(name) && !excluded.has(name)) report(name, 'is in the signature and not in the bundle');
  return faults;
}

function misfit(name: string, bytes: Uint8Array, { algorithm, hash }: Vouched): string | undefined {
  const known = hashes.get(algorithm);
  if (known === undefined) return `is hashed by ${JSON.stringify(algorithm)}; ${[...hashes.keys()].join(', ')} count`;
  try {
    const found = hashFile(name, bytes, createHash(known));
    return found === hash.toLowerCase() ? undefined : 'is not what was signed';
  } catch {
    return 'can not be read';
  }
}
