import type { IncomingMessage } from 'node:http';

/** Bounds the bytes of all bodies held at once (`limits.bodies_total`). */
export interface BodyBudget {
  /** Bytes held now. */
  readonly held: number;
  /** @returns false, and takes nothing, where that would exceed the total */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

export interface BodyLimits {
  /** Bytes of one body (`limits.body`). */
  readonly maxBytes: number;
  /** Milliseconds until the whole body must have come (`timeouts.body`); 0: no limit. */
  readonly timeoutMs: number;
  readonly budget: BodyBudget;
}

/** A body that is charged to the budget until it is released; a second release does nothing. */
export interface ReceivedBody {
  readonly bytes: Buffer;
  release(): void;
}

export function createBodyBudget(_totalBytes: number): BodyBudget {
  throw new Error('not yet');
}

/**
 * @throws RequestError (rejects) `body_too_large`, `overloaded`, `request_timeout`, `client_closed_request`. The rest of the
 *   body is then unread: answer with `Connection: close`.
 */
export function readBody(_request: IncomingMessage, _limits: BodyLimits): Promise<ReceivedBody> {
  throw new Error('not yet');
}
