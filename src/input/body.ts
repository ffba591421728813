import type { IncomingMessage } from 'node:http';
import { RequestError } from '../errors.ts';

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
  /** Asks for the body, where the caller waits to be asked; not called for one that is announced too large. */
  readonly ask?: (() => void) | undefined;
}

/** A body that is charged to the budget until it is released; a second release does nothing. */
export interface ReceivedBody {
  readonly bytes: Buffer;
  release(): void;
}

export function createBodyBudget(totalBytes: number): BodyBudget {
  let held = 0;
  return {
    get held() {
      return held;
    },
    take(bytes) {
      if (held + bytes > totalBytes) return false;
      held += bytes;
      return true;
    },
    give(bytes) {
      held -= bytes;
    },
  };
}

/**
 * Reads a body whole. Memory is charged as bytes come, not as they are announced: a caller that announces much and sends
 * nothing takes no room from others.
 *
 * @throws RequestError (rejects) `body_too_large`, `overloaded`, `request_timeout`, `client_closed_request`. The rest of the
 *   body is then unread and the socket still open: answer with `Connection: close`.
 */
export function readBody(request: IncomingMessage, limits: BodyLimits): Promise<ReceivedBody> {
  const header = request.headers['content-length'];
  const announced = header === undefined ? undefined : Number(header);
  if (announced !== undefined && announced > limits.maxBytes) return Promise.reject(tooLarge(limits));
  // A client that left while something else was awaited: its events are over and would never come.
  if (request.destroyed) return Promise.reject(new RequestError('client_closed_request'));

  limits.ask?.();

  return new Promise((resolve, reject) => {
    const collected = createCollector(announced, limits);
    let over = false;
    let timer: NodeJS.Timeout | undefined;

    // A short body stands in the packet of its head and is here when this is called: no timer is made for it.
    if (limits.timeoutMs > 0) process.nextTick(startTimer);
    function startTimer(): void {
      if (over || collected.length() === announced) return;
      timer = setTimeout(() => fail(new RequestError('request_timeout')), limits.timeoutMs);
    }
    function fail(error: unknown): void {
      if (over) return;
      over = true;
      clearTimeout(timer);
      // What was released must not be held by a listener.
      request.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone);
      request.pause();
      collected.release();
      reject(error);
    }
    function onData(chunk: Buffer): void {
      try {
        collected.add(chunk);
      } catch (error) {
        fail(error);
      }
    }
    function onEnd(): void {
      // No event comes behind this one but `close`: to take the listeners off would cost more than to look at `over`.
      over = true;
      clearTimeout(timer);
      resolve({ bytes: collected.bytes(), release: collected.release });
    }
    function onGone(): void {
      if (!over) fail(new RequestError('client_closed_request'));
    }
    request.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone);
  });
}

const nothing: Buffer = Buffer.alloc(0);
const firstCapacity = 16 * 1024;

/**
 * Copies chunks into one growing buffer, so that a body sent a byte at a time costs no more than another; only a body that
 * comes whole in one chunk is kept as it came.
 */
function createCollector(announced: number | undefined, limits: BodyLimits) {
  let buffer: Buffer = nothing;
  let length = 0;
  let charged = 0;

  function reserve(capacity: number): void {
    if (!limits.budget.take(capacity - charged)) throw new RequestError('overloaded');
    charged = capacity;
  }

  return {
    add(chunk: Buffer): void {
      const needed = length + chunk.length;
      if (needed > limits.maxBytes) throw tooLarge(limits);
      if (length === 0 && chunk.length === announced) {
        reserve(needed);
        buffer = chunk;
      } else {
        if (needed > buffer.length) {
          const capacity = Math.max(
            needed,
            Math.min(Math.max(firstCapacity, 2 * buffer.length), announced ?? Infinity),
          );
          reserve(capacity);
          const larger = Buffer.allocUnsafeSlow(capacity);
          buffer.copy(larger, 0, 0, length);
          buffer = larger;
        }
        chunk.copy(buffer, length);
      }
      length = needed;
    },
    length: () => length,
    /** The buffer itself where it is full: nearly always. */
    bytes: () => (length === buffer.length ? buffer : buffer.subarray(0, length)),
    release(): void {
      limits.budget.give(charged);
      charged = 0;
      // The request's listeners live as long as its answer does.
      buffer = nothing;
    },
  };
}

function tooLarge(limits: BodyLimits): RequestError {
  return new RequestError('body_too_large', `The body is larger than limits.body (${limits.maxBytes} bytes).`);
}
