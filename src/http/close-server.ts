/** How a listener ends: what is being answered gets its time, and whatever is still there then is cut. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * For a server that does not listen yet, because Node's own list knows neither connections whose TLS handshake is under
 * way nor closes one that becomes an HTTP connection after the rest were closed: the process would wait for either.
 *
 * @param onCut told before what is still there is ended
 * @returns takes no more connections, closes the idle ones, waits up to `graceMs` for the others and then ends them all.
 *   A handshake has the shorter of that and its own time.
 */
export function createServerClose(server: Server, onCut?: () => void): (graceMs: number) => Promise<void> {
  const open = new Set<Socket>();
  let isOver = false;
  server.on('connection', (socket: Socket) => {
    if (isOver) {
      socket.destroy();
      return;
    }
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });

  return async function close(graceMs) {
    const closed = once(server, 'close');
    server.close();
    server.closeIdleConnections();
    // Node leaves a connection open that becomes idle from now on, until its client goes or its own time is over.
    const idle = setInterval(() => server.closeIdleConnections(), 50);
    const timer = setTimeout(() => {
      isOver = true;
      onCut?.();
      for (const socket of open) socket.destroy();
    }, graceMs);
    await closed;
    clearInterval(idle);
    clearTimeout(timer);
  };
}
