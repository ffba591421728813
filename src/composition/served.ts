/** What those who oversee a sidecar know of what serves its requests, be it this process or several others. Types only. */

import type { Address } from '../configured/config.ts';
import type { WorkerDocument } from '../http/admin/contract.ts';
import type { DrainState } from '../http/drain.ts';
import type { IdentityDescription } from '../identity/describe-identity.ts';
import type { Connections } from '../upstream/connections.ts';

export interface Served {
  /** What was bound. */
  readonly data: Address;
  /** Id of the upstream. */
  readonly upstream: string;
  /** For questions of other parts to the upstream. */
  readonly connections: Connections;
  /** This sidecar's own name in `Via`. */
  readonly pseudonym: string;
  /** Requests that have not ended, as far as it is known without a question. */
  inFlight(): number;
  /** Those of this moment. */
  countInFlight(): number | Promise<number>;
  /** Why no request can be answered, in words; empty where one can. */
  notReady(): readonly string[];
  /** Tells of the requests that have ended and were not told of yet. */
  tellNow(): void | Promise<void>;
  /** When the own certificate of each secured connection expires, Unix time in ms. */
  expiries(): Iterable<readonly [connection: string, expiresMs: number]>;
  describeIdentity(): IdentityDescription;
  readonly describeWorkers?: () => readonly WorkerDocument[];
  /** Looks now whether keys, lists or certificates have changed. Never rejects. */
  look(): Promise<void>;
  /** The sidecar leaves, or the level of its log is another one: for who can't see that. */
  readonly onDrain?: (state: DrainState) => void;
  readonly onLogLevel?: (level: string) => void;
  /** Takes no more requests, waits for those in flight up to `graceMs`, then cuts them. */
  end(graceMs: number): Promise<void>;
  /** Behind that: what was still needed to tell of them. */
  close(): void;
}
