/** Callers whose authority is exchanged: the connections that it vouched for end, each when its answer is whole. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener, ServerResponse } from 'node:http';
import { Agent } from 'node:https';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { createTlsServer } from '../../src/http/tls-server.ts';
import { type Issued, issue, issueAuthority } from '../support/certificates.ts';
import { portOf } from '../support/port-of.ts';
import { call, listenTlsOf, materialOf } from '../support/tls.ts';

const [former, next] = [issueAuthority('Former'), issueAuthority('Next')] as const;
const serverOf = (): Issued => issue({ name: { CN: 'sidecar' }, issuer: former, ips: ['127.0.0.1'] });
const own = serverOf();
const caller = issue({ name: { CN: 'caller' }, issuer: former });

async function start(t: TestContext) {
  const waiting: ServerResponse[] = [];
  const { server, replace } = createTlsServer(
    {},
    { tls: listenTlsOf({ own, ca: former }), handshakeTimeout: 60_000, onHandshakeFailure: () => undefined },
  );
  const answer: RequestListener = (request, response) => {
    if (request.url === '/slow') waiting.push(response);
    else response.end('ok');
  };
  server.on('request', answer);
  server.on('checkContinue', answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const agent = new Agent({ keepAlive: true });
  t.after(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  const port = portOf(server);
  const ask = (path: string, presented = caller, headers = {}) => {
    const { cert, key } = presented;
    return call(`https://127.0.0.1:${port}`, { ca: former.cert, cert, key, agent, path, headers });
  };
  return { port, ask, replace, waiting, agent };
}

async function until(isSo: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 30_000; !isSo() && Date.now() < deadline; ) await sleep(5);
}

test('where only the own certificate is new, connections stay', async (t) => {
  const { ask, replace } = await start(t);
  const { port } = await ask('/');
  replace(materialOf({ own: serverOf(), ca: former }));
  await sleep(50);
  assert.equal((await ask('/')).port, port);
});

test('where the authorities are others, an idle connection ends, and a new one is verified by them', async (t) => {
  const { ask, replace, agent } = await start(t);
  const first = await ask('/');
  replace(materialOf({ own, ca: next }));
  await until(() => Object.keys(agent.freeSockets).length === 0);
  assert.deepEqual(Object.keys(agent.freeSockets), []);
  await assert.rejects(ask('/'));
  const again = await ask('/', issue({ name: { CN: 'caller' }, issuer: next }));
  assert.equal(again.status, 200);
  assert.notEqual(again.port, first.port);
});

for (const [title, headers] of [
  ['an answer that is under way', {}],
  ['an answer to a request with an expectation', { expect: '100-continue' }],
] as const)
  test(`${title} comes whole, and the connection ends behind it`, async (t) => {
    const { ask, replace, waiting, agent } = await start(t);
    const answer = ask('/slow', caller, headers);
    await until(() => waiting.length > 0);
    waiting[0]?.write('first ');
    replace(materialOf({ own, ca: next }));
    await sleep(50);
    waiting[0]?.end('last');
    assert.equal((await answer).body, 'first last');
    await until(() => Object.keys(agent.freeSockets).length === 0);
    assert.deepEqual(Object.keys(agent.freeSockets), []);
  });

test('a handshake that began with the former authorities does not end with them', async (t) => {
  const { port, replace } = await start(t);
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  await sleep(50);
  replace(materialOf({ own, ca: next }));
  if (!socket.destroyed) await once(socket, 'close', { signal: AbortSignal.timeout(30_000) });
});
