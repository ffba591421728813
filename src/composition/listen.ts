import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { Address } from '../configured/config.ts';

/** @returns what was bound, the port filled in @throws the error of binding the socket */
export async function listen(server: Server, address: Address): Promise<Address> {
  server.listen(address.port, address.host);
  await once(server, 'listening');
  const bound: AddressInfo | string | null = server.address();
  return { host: address.host, port: typeof bound === 'object' && bound !== null ? bound.port : address.port };
}
