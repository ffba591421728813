/** RFC 9110, 9.2.2: a proxy repeats no request by itself that is not idempotent (docs/decisions/033). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';

import { startTestSidecar } from '../support/in-process.ts';

test('what goes out on a kept connection that the upstream closes then is told of, and not sent again', async (t) => {
  let chats = 0;
  const kept = new WeakSet<Socket>();
  let closedOne: Socket | undefined;
  const upstream = createServer((request, response) => {
    request.resume().once('end', () => {
      if (request.method === 'POST') chats += 1;
      if (chats === 1 || request.method !== 'POST') kept.add(request.socket);
      if (request.method !== 'POST') return response.end('{"models":[]}');
      if (chats === 2) {
        closedOne = request.socket;
        return request.socket.destroy();
      }
      const body = '{"message":{"content":"hi"},"done":true}';
      return response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
    });
  });
  upstream.keepAliveTimeout = 0;
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  t.after(() => upstream.close());
  t.after(() => upstream.closeAllConnections());
  const { port } = upstream.address() as AddressInfo;
  const sidecar = await startTestSidecar({
    upstream: `http://127.0.0.1:${port}`,
    policy: { 'authz.rego': 'package ollama.authz\ndefault allow := true\n' },
  });
  t.after(() => sidecar.close());
  const statuses: number[] = [];
  for (let i = 0; i < 3; i += 1) {
    const response = await fetch(`${sidecar.url}/api/chat`, {
      method: 'POST',
      headers: { authorization: `Bearer ${sidecar.token()}` },
      body: '{"model":"tiny","messages":[],"stream":false}',
    });
    await response.arrayBuffer();
    statuses.push(response.status);
  }
  assert.deepEqual(statuses, [200, 502, 200]);
  assert.equal(chats, 3);
  assert.ok(closedOne !== undefined && kept.has(closedOne), 'it was a kept connection');
  const events = await sidecar.waitForEvents(3);
  assert.deepEqual(
    events.map(({ error }) => error),
    [undefined, 'upstream_reset', undefined],
  );
});
