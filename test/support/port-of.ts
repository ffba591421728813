import type { Server } from 'node:net';

/** @returns the TCP port that a server listens on, with TLS or HTTP on top or without. @throws where it doesn't */
export function portOf(server: Pick<Server, 'address'>): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('it does not listen on a port');
  return address.port;
}
