/** Ed25519 public keys as OpenSSH writes them (RFC 4253 section 6.6, RFC 8709 section 4): what `id_ed25519.pub` holds. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { quote, UnitError } from './units.ts';

/** A length of 11, the name of the algorithm, a length of 32; the 32 bytes of the key follow. */
const ed25519 = Buffer.from('\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20', 'latin1');

/**
 * The points of small order, in every encoding, without the bit of the sign (the last one). A verifier that takes them
 * takes signatures that anybody can make; Node 26 takes none, but says so nowhere. A row of zeros, the likeliest stand-in
 * for a key in an example, is one of them.
 */
const smallOrder: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

export interface SshKey {
  readonly key: KeyObject;
  /** The key in OpenSSH's base64, without the algorithm's name and the comment. */
  readonly base64: string;
}

/**
 * @param line `ssh-ed25519 AAAA... comment`, the comment optional
 * @throws UnitError that says what is wrong with it; a private key is never quoted
 */
export function parseSshKey(line: string): SshKey {
  if (line.includes('PRIVATE KEY'))
    throw new UnitError('is a private key, which has no place here; write the line of id_ed25519.pub');
  const [algorithm = '', base64 = ''] = line.trim().split(/\s+/);
  if (algorithm !== 'ssh-ed25519')
    throw new UnitError(`must be a line such as "ssh-ed25519 AAAA..."; ${quote(algorithm)} is no algorithm for it`);
  const bytes = Buffer.from(base64, 'base64');
  const head = bytes.subarray(0, ed25519.length);
  if (bytes.toString('base64') !== base64 || !head.equals(ed25519) || bytes.length !== ed25519.length + 32)
    throw new UnitError('holds no whole Ed25519 key behind "ssh-ed25519"; copy the line of id_ed25519.pub again');
  const point = Buffer.from(bytes.subarray(ed25519.length));
  const x = point.toString('base64url');
  point[31] = (point[31] ?? 0) & 0x7f;
  if (smallOrder.has(point.toString('hex'))) throw new UnitError('is a key under which anybody could sign');
  return { key: createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }), base64 };
}
