/** A listener that closes waits for no handshake longer than for requests. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test as define, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';

import { createServerClose } from '../../src/http/close-server.ts';
import { createTlsServer, type HandshakeFailure } from '../../src/http/tls-server.ts';
import { patient } from '../support/at-best.ts';
import { issue, issueAuthority } from '../support/certificates.ts';
import { portOf } from '../support/port-of.ts';
import { listenTlsOf } from '../support/tls.ts';

// Times are short here: what a held up process spoils is carried out anew.
const test = patient(define, 50);

const authority = issueAuthority('Test authority');
const own = issue({ name: { CN: 'sidecar' }, issuer: authority, ips: ['127.0.0.1'] });

async function start(t: TestContext, handshakeTimeout: number) {
  const reasons: HandshakeFailure[] = [];
  const { server } = createTlsServer(
    {},
    { tls: listenTlsOf({ own }), handshakeTimeout, onHandshakeFailure: ({ reason }) => reasons.push(reason) },
  );
  const close = createServerClose(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.closeAllConnections());
  const port = portOf(server);
  return { port: port, close, reasons };
}

async function tcp(port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function msOf(task: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await task();
  return performance.now() - startMs;
}

test('a handshake that does not end has its own time', async (t) => {
  const { port, close, reasons } = await start(t, 200);
  await tcp(port);
  await sleep(20);
  const took = await msOf(() => close(60_000));
  assert.ok(took < 20_000, `${took} ms`);
  assert.deepEqual(reasons, ['timeout']);
});

test('a handshake with much time has that of requests', async (t) => {
  const { port, close } = await start(t, 60_000);
  const socket = await tcp(port);
  await sleep(20);
  const took = await msOf(() => close(100));
  assert.ok(took < 20_000, `${took} ms`);
  if (!socket.destroyed) await once(socket, 'close');
});

test('a connection that becomes one while the listener closes ends with the others', async (t) => {
  const { port, close } = await start(t, 60_000);
  const socket = await tcp(port);
  await sleep(20);
  const closed = msOf(() => close(400));
  const secured = connect({ socket, ca: authority.cert, servername: 'sidecar', checkServerIdentity: () => undefined });
  secured.on('error', () => undefined);
  await once(secured, 'secureConnect');
  const took = await closed;
  assert.ok(took < 20_000, `${took} ms`);
  if (!secured.destroyed) await once(secured, 'close');
});
