import { randomBytes } from 'node:crypto';

/** How this process is named in `Via` (RFC 9110, 7.6.3), so that a request that comes back to it can be told. */
export interface Via {
  /** Unlike any other's: a random part says which process it is. */
  readonly pseudonym: string;
  /**
   * @param received the caller's own `Via`; of it only other sidecars' names pass, or two that call each other would never
   *   notice
   * @returns the `Via` of the request to the upstream
   */
  extend(received: string | undefined): string;
}

const ofSidecars = /\b1\.1 opallama-[0-9a-f]{16}(?=\s*(?:,|$))/g;

/** @param pseudonym that other processes of the same sidecar have too; one of its own by default */
export function createVia(pseudonym = `opallama-${randomBytes(8).toString('hex')}`): Via {
  const own = `1.1 ${pseudonym}`;
  return {
    pseudonym,
    extend: (received) => (received === undefined ? own : [...(received.match(ofSidecars) ?? []), own].join(', ')),
  };
}
