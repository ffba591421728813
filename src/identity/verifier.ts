/** What tokens of one issuer must be, and the keys that prove it. The contract between the authenticator and where keys come from. */
import type { KeyObject } from 'node:crypto';

import type { JwtConfig } from '../configured/identity.ts';
import type { Principal } from '../types.ts';

export interface TrustedKey {
  readonly key: KeyObject;
  readonly kid: string | undefined;
  /** Those of the configuration that this key may be used with; a token chooses among them and adds none. */
  readonly algorithms: readonly JwtConfig['algorithm'][];
  /** Tokens of this key count before this moment, Unix time in ms; those that are remembered too. */
  usableUntilMs: number;
}

/** Where the keys of one issuer come from. */
export interface KeyRing {
  /** The keys that may have signed a token with this header, now. */
  find(algorithm: string, kid: string | undefined): readonly TrustedKey[];
  /**
   * For a token that none of the known keys verifies: looks whether there are others by now. The promise never rejects.
   *
   * @returns undefined where there is nothing to look for, or it was looked for just now
   */
  look(algorithm: string, kid: string | undefined): Promise<void> | { readonly unavailable: string } | undefined;
}

export interface Verifier {
  readonly issuer: string;
  readonly audience: string;
  readonly clockToleranceS: number;
  readonly keys: KeyRing;
  /** @returns the caller, or a text that says which verified claim can't be used */
  readonly readPrincipal: (claims: Readonly<Record<string, unknown>>) => Principal | string;
}
