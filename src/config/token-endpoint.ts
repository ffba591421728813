import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { resolve } from 'node:path';
import type { TokenEndpointConfig } from '../configured/identity.ts';
import { misfitOf } from '../key-fit.ts';
import { readClients } from './clients-file.ts';
import type { Environment } from './environment.ts';
import type { Path } from './faults.ts';
import { errorCode, loadKey, readKeyAnew } from './keys.ts';
import { valueAt } from './layers.ts';
import { type SigningKeyMembers, signingKeySchema, type TokenEndpointMembers } from './token-endpoint-schema.ts';

const at = ['identity', 'token_endpoint'] as const;

export interface TokenEndpointSources extends Environment {
  readonly tree: unknown;
  /** The directory that a relative path in this member is relative to. */
  readonly directory: (path: Path) => string;
  readonly report: (path: Path, text: string) => void;
}

interface SigningKey extends KeyPair {
  readonly source: TokenEndpointConfig['source'];
}

interface KeyPair {
  readonly signs: KeyObject;
  readonly verifies: KeyObject;
}

/**
 * Reads the file of the key again, which has changed while the sidecar runs.
 *
 * @returns a text where it can't be used
 */
export function readSigningKeyAnew(
  { algorithm, source }: Pick<TokenEndpointConfig, 'algorithm' | 'source'>,
  bytes: Buffer,
): KeyPair | string {
  if (source.member === 'private_key_file') {
    const pair = readPrivateKey(bytes, algorithm);
    return typeof pair === 'string' ? `can not be used: ${pair}` : pair;
  }
  const key = readKeyAnew({ algorithm, source: { member: 'secret_file', value: source.value } }, bytes);
  return typeof key === 'string' ? key : { signs: key, verifies: key };
}

/** Reads the key that tokens are signed with; its faults are reported, whatever else of the section is wrong. */
export function loadSigningKey(sources: TokenEndpointSources): SigningKey | undefined {
  const members = signingKeySchema.safeParse(valueAt(sources.tree, at));
  // What is wrong then has been said by the check of the section.
  if (!members.success) return undefined;
  const { secret_env, secret_file, private_key_file: file, algorithm } = members.data;
  if (algorithm.startsWith('HS') && file === undefined) {
    const loaded = loadKey(
      { algorithm, secret_env, secret_file },
      (member) => sources.directory([...at, member]),
      sources,
    );
    if ('key' in loaded) return { signs: loaded.key, verifies: loaded.key, source: toSource(loaded.source) };
    sources.report(loaded.member === undefined ? at : [...at, loaded.member], loaded.fault);
    return undefined;
  }
  return loadPrivateKey(members.data, sources);
}

function loadPrivateKey(members: SigningKeyMembers, sources: TokenEndpointSources): SigningKey | undefined {
  const { algorithm, private_key_file: file } = members;
  const refuse = (text: string, member?: string): undefined =>
    void sources.report(member === undefined ? at : [...at, member], text);
  const other = (['secret_env', 'secret_file'] as const).find((member) => members[member] !== undefined);
  if (algorithm.startsWith('HS'))
    return refuse(`does not go with ${algorithm}; set secret_env or secret_file`, 'private_key_file');
  if (other !== undefined) return refuse(`does not go with ${algorithm}; set private_key_file`, other);
  if (file === undefined) return refuse(`${algorithm} needs a key: set private_key_file`);

  const path = resolve(sources.directory([...at, 'private_key_file']), file);
  let bytes: Buffer;
  try {
    bytes = Buffer.from(sources.readFile(path));
  } catch (error) {
    return refuse(`cannot read ${path}${errorCode(error)}`, 'private_key_file');
  }
  const pair = readPrivateKey(bytes, algorithm);
  if (typeof pair === 'string') return refuse(pair, 'private_key_file');
  return { ...pair, source: { member: 'private_key_file', value: path } };
}

/** @returns a text where it can't be used */
function readPrivateKey(pem: Buffer, algorithm: TokenEndpointConfig['algorithm']): KeyPair | string {
  let signs: KeyObject;
  try {
    signs = createPrivateKey(pem);
  } catch {
    return 'holds no private key in PEM that can be read without a passphrase';
  }
  return misfitOf(signs, algorithm) ?? { signs, verifies: createPublicKey(signs) };
}

/** `loadKey` was given no public key. */
function toSource(source: { readonly member: string; readonly value: string }): TokenEndpointConfig['source'] {
  return { member: source.member === 'secret_env' ? 'secret_env' : 'secret_file', value: source.value };
}

/** Completes the section, and reports what is wrong with the file of clients: it is read anew when it changes. */
export function toTokenEndpoint(
  section: TokenEndpointMembers,
  key: SigningKey,
  { directory, readFile, report }: TokenEndpointSources,
): TokenEndpointConfig {
  const { algorithm, kid, issuer, audience } = section;
  const clientsFile = resolve(directory([...at, 'clients_file']), section.clients_file);
  try {
    const clients = readClients(Buffer.from(readFile(clientsFile)).toString('utf8'));
    for (const fault of Array.isArray(clients) ? clients : [])
      report([...at, 'clients_file'], `${clientsFile}: ${fault}`);
  } catch (error) {
    report([...at, 'clients_file'], `cannot read ${clientsFile}${errorCode(error)}`);
  }
  return {
    clientsFile,
    algorithm,
    signingKey: key.signs,
    verifyingKey: key.verifies,
    source: key.source,
    kid,
    issuer,
    audience,
    expiresS: section.expires / 1_000,
    perClient: section.requests_per_client,
    perSource: section.requests_per_source,
  };
}
