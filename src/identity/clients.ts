/** Clients that ask for tokens by their id and secret (RFC 6749 section 4.4): who proves to be one. */
import { createHash, timingSafeEqual } from 'node:crypto';

import type { TokenClient, TokenClients } from '../configured/identity.ts';

/** A secret of 256 random bits needs no slow hash, and one that a person made up must not be one: it could be guessed from its hash. */
const shortestSecret = 32;

const nobody: readonly Buffer[] = [Buffer.alloc(32)];

/** Who has this secret. It takes as long for an id that nobody has: the answer must not tell which ids there are. */
export function authenticateClient(clients: TokenClients, id: string, secret: string): TokenClient | undefined {
  const known = clients.get(id);
  const given = createHash('sha256').update(secret).digest();
  let fits = false;
  for (const hash of known?.secrets ?? nobody) fits = timingSafeEqual(hash, given) || fits;
  return fits && secret.length >= shortestSecret ? known?.client : undefined;
}
