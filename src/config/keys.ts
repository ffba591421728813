import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { resolve } from 'node:path';
import type { JwtConfig } from '../configured/identity.ts';
import { misfitOf } from '../key-fit.ts';
import type { Environment } from './environment.ts';
import type { JwtKeyMembers } from './identity-schema.ts';

/** A key, or the member that is at fault and why. */
export type LoadedKey =
  | { readonly key: KeyObject; readonly source: NonNullable<JwtConfig['source']> }
  | { readonly member: keyof JwtKeyMembers | undefined; readonly fault: string };

const sourceMembers = ['secret_env', 'secret_file', 'public_key_file'] as const;

/**
 * Reads the key of one entry of `identity.jwt` and checks that it fits its algorithm.
 *
 * @param directory that a path of one of the file members is relative to
 */
export function loadKey(
  entry: JwtKeyMembers,
  directory: (member: keyof JwtKeyMembers) => string,
  { env, readFile }: Pick<Environment, 'env' | 'readFile'>,
): LoadedKey {
  const named = sourceMembers.filter((member) => entry[member] !== undefined);
  const [member] = named;
  const secret = entry.algorithm.startsWith('HS');
  const wanted = secret ? 'secret_env or secret_file' : 'public_key_file';
  if (member === undefined) return { member: undefined, fault: `${entry.algorithm} needs a key: set ${wanted}` };
  if (named.length > 1)
    return { member: named[1], fault: `one key an entry; remove all but one of ${named.join(', ')}` };
  if (secret === (member === 'public_key_file'))
    return { member, fault: `does not go with ${entry.algorithm}; set ${wanted}` };

  const value = entry[member] ?? '';
  if (member === 'secret_env') {
    const text = env[value];
    if (text === undefined) return { member, fault: `the variable ${value} is not set` };
    return { ...secretKey(Buffer.from(text), entry.algorithm, member), source: { member, value } };
  }

  const path = resolve(directory(member), value);
  let bytes: Buffer;
  try {
    bytes = Buffer.from(readFile(path));
  } catch (error) {
    return { member, fault: `cannot read ${path}${errorCode(error)}` };
  }
  const loaded = secret
    ? secretKey(withoutLineEnd(bytes), entry.algorithm, member)
    : publicKey(bytes, entry.algorithm, member);
  return { ...loaded, source: { member, value: path } };
}

/** The key of an entry whose file has changed, checked as at the start. @returns a text where it can't be used */
export function readKeyAnew(
  { algorithm, source }: Pick<JwtConfig, 'algorithm' | 'source'>,
  bytes: Buffer,
): KeyObject | string {
  const checked =
    source?.member === 'secret_file'
      ? secretKey(withoutLineEnd(bytes), algorithm, source.member)
      : publicKey(bytes, algorithm, 'public_key_file');
  return 'key' in checked ? checked.key : `can not be used: ${checked.fault}`;
}

type Checked = { readonly key: KeyObject } | { readonly member: keyof JwtKeyMembers; readonly fault: string };

/** ` (ENOENT)`, of an error that the file system gave. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
}

/** Editors and `echo` end a file with a line feed that its author doesn't count as part of the secret. */
function withoutLineEnd(bytes: Buffer): Buffer {
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? -2 : -1) : bytes.length;
  return bytes.subarray(0, end);
}

/** RFC 7518 section 3.2: a key of at least the size of the hash. */
function secretKey(bytes: Buffer, algorithm: string, member: keyof JwtKeyMembers): Checked {
  const needed = Number(algorithm.slice(2)) / 8;
  if (bytes.length < needed) {
    const command = `openssl rand -hex ${needed}`;
    return {
      member,
      fault: `the secret has ${bytes.length} bytes; ${algorithm} needs at least ${needed}. Make one: ${command}`,
    };
  }
  // Whoever has a public key, and that is anybody, could sign with it.
  if (/-----BEGIN (PUBLIC KEY|RSA PUBLIC KEY|CERTIFICATE)-----/.test(bytes.toString('latin1'))) {
    return { member, fault: `this is a public key and no secret; name an RS, PS or ES algorithm and public_key_file` };
  }
  return { key: createSecretKey(bytes) };
}

function publicKey(pem: Buffer, algorithm: JwtConfig['algorithm'], member: keyof JwtKeyMembers): Checked {
  const text = pem.toString('latin1');
  if (text.includes('PRIVATE KEY')) {
    const command = 'openssl pkey -in PRIVATE.pem -pubout';
    return { member, fault: `this is a private key, which has no place here. Take its public half: ${command}` };
  }
  const blocks = text.match(/-----BEGIN /g)?.length ?? 0;
  if (blocks !== 1) return { member, fault: `must hold one public key or certificate in PEM; this holds ${blocks}` };
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    return { member, fault: 'holds no public key or certificate in PEM that can be read' };
  }
  const misfit = misfitOf(key, algorithm);
  return misfit === undefined ? { key } : { member, fault: misfit };
}

/**
 * Whether two secret or public keys are one. `KeyObject.equals` on keys of two types leaves an error in OpenSSL's queue,
 * and the next key that is read in this thread, a good one, fails by it (Node 26.10): so their encodings are compared.
 */
export function isSameKey(a: KeyObject, b: KeyObject): boolean {
  if (a.type !== b.type || a.type === 'private') return false;
  if (a.type === 'secret') return a.equals(b);
  const [left, right] = [a, b].map((key) => Buffer.from(key.export({ type: 'spki', format: 'der' })));
  return left !== undefined && right !== undefined && left.equals(right);
}
