import type { IncomingMessage } from 'node:http';

/** How long the rest of a refused body is read and thrown away, so that the caller can read why it was refused, ms. */
const lingerMs = 2000;

/**
 * Closing a socket that still has bytes to read resets it, and the caller may lose the answer that says why. So the rest
 * is read and thrown away for a moment (RFC 9112 section 9.6).
 */
export function linger(request: IncomingMessage): void {
  request.resume();
  const timer = setTimeout(() => {
    if (!request.complete) request.socket.destroy();
  }, lingerMs);
  timer.unref();
  request.once('close', () => clearTimeout(timer));
}
