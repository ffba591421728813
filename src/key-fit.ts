/** Whether a key is one for an algorithm of RFC 7518; for keys of files as for those that an issuer publishes. */
import type { KeyObject } from 'node:crypto';

import type { JwtConfig } from './configured/identity.ts';

const curves: ReadonlyMap<string, string> = new Map([
  ['ES256', 'prime256v1'],
  ['ES384', 'secp384r1'],
  ['ES512', 'secp521r1'],
]);

/**
 * Why a public or private key can't be used with an algorithm: RFC 7518 section 3.3 and 3.5 (RSA of 2048 bits or more)
 * and 3.4 (the curve of each ES algorithm); undefined if it can.
 */
export function misfitOf(key: KeyObject, algorithm: JwtConfig['algorithm']): string | undefined {
  const type = key.asymmetricKeyType ?? 'unknown';
  const details = key.asymmetricKeyDetails ?? {};
  const curve = curves.get(algorithm);
  if (curve !== undefined) {
    if (type !== 'ec') return `${algorithm} needs a key on the curve ${curve}; this is one of type ${type}`;
    if (details.namedCurve !== curve)
      return `${algorithm} needs the curve ${curve}; this key is on ${details.namedCurve}`;
    return undefined;
  }
  if (type !== 'rsa' && !(type === 'rsa-pss' && algorithm.startsWith('PS'))) {
    return `${algorithm} needs an RSA key; this is one of type ${type}`;
  }
  const bits = details.modulusLength ?? 0;
  if (bits < 2048) return `RSA keys need at least 2048 bits; this one has ${bits}`;
  // With 1 everybody can sign: each message is its own signature.
  const exponent = details.publicExponent ?? 0n;
  if (exponent < 3n || exponent % 2n === 0n) return `this RSA key has the exponent ${exponent}, which protects nothing`;
  if (type === 'rsa' && isOfBrokenGenerator(key))
    return 'the private half of this RSA key can be computed (CVE-2017-15361)';
  const hash = `sha${algorithm.slice(2)}`;
  if (type === 'rsa-pss' && details.hashAlgorithm !== undefined && details.hashAlgorithm !== hash) {
    return `this RSA-PSS key is bound to ${details.hashAlgorithm}; ${algorithm} needs ${hash}`;
  }
  return undefined;
}

/** Primes of which few remainders are powers of 65537; a modulus of the broken generator leaves such a one for each. */
const tellingPrimes = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

/**
 * The generator of CVE-2017-15361 made primes k·M + (65537^a mod M), M a product of small primes: so the modulus too is a
 * power of 65537 for each of them (Nemec et al., The Return of Coppersmith's Attack, section 3). Of other keys four in a
 * billion are.
 */
function isOfBrokenGenerator(key: KeyObject): boolean {
  const { n = '' } = key.export({ format: 'jwk' });
  const modulus = BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`);
  return tellingPrimes.every((prime) => powersOf65537(prime).has(Number(modulus % BigInt(prime))));
}

function powersOf65537(prime: number): ReadonlySet<number> {
  const powers = new Set<number>();
  for (let power = 1; !powers.has(power); power = (power * 65537) % prime) powers.add(power);
  return powers;
}
