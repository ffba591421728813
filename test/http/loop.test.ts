/** An upstream that is the sidecar itself, by a name that the configuration cannot know, or by way of another sidecar. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { portOf } from '../support/port-of.ts';
import { allowAll, startHostile } from './hostile.ts';

interface Cleaner {
  after(end: () => unknown): void;
}

/** Another name for a port: passes bytes both ways. */
async function startRelay(t: Cleaner): Promise<{ readonly url: string; target: number }> {
  const relay = { url: '', target: 0 };
  const sockets = new Set<net.Socket>();
  const server = net.createServer((near) => {
    const far = net.connect(relay.target, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    near.pipe(far).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const port = portOf(server);
  relay.url = `http://127.0.0.1:${port}`;
  return relay;
}

const anonymous = { policy: allowAll, anonymousRoles: ['guest'] };

async function ask(url: string): Promise<[number, string]> {
  const answer = await fetch(`${url}/api/chat`, { method: 'POST', body: '{"model":"tiny"}' });
  return [answer.status, await answer.text()];
}

/** Waits until a sidecar has told of so many chats, at most 30 s. */
async function chatsOf({ events }: TestSidecar, count: number): Promise<void> {
  const chats = () => events.filter(({ method }) => method === 'POST').length;
  for (const deadline = Date.now() + 30_000; chats() < count && Date.now() < deadline; ) await sleep(5);
}

test('a request that comes back is refused with what to do, and told of once each time', async (t) => {
  const relay = await startRelay(t);
  const sidecar = await startTestSidecar({ ...anonymous, upstream: relay.url });
  t.after(() => sidecar.close());
  relay.target = sidecar.port;
  const [status, text] = await ask(sidecar.url);
  assert.equal(status, 508);
  assert.match(text, /came back to the sidecar that sent it. Set upstream.base_url/);
  await chatsOf(sidecar, 2);
  // The list of models, which the sidecar itself asks for, comes in a circle too.
  const chats = sidecar.events.filter(({ method }) => method === 'POST');
  assert.deepEqual(
    chats.map(({ status, error, target }) => [status, error, target]),
    [
      [508, 'loop_detected', undefined],
      [508, undefined, relay.url],
    ],
  );
});

test('two sidecars that call each other notice it as well', async (t) => {
  const relay = await startRelay(t);
  const first = await startTestSidecar({ ...anonymous, upstream: relay.url });
  t.after(() => first.close());
  const second = await startTestSidecar({ ...anonymous, upstream: first.url });
  t.after(() => second.close());
  relay.target = second.port;
  assert.equal((await ask(first.url))[0], 508);
  await Promise.all([chatsOf(first, 2), chatsOf(second, 1)]);
  const chats = [...first.events, ...second.events].filter(({ method }) => method === 'POST');
  assert.deepEqual(
    chats.map(({ status, error }) => [status, error]),
    [
      [508, 'loop_detected'],
      [508, undefined],
      [508, undefined],
    ],
  );
});

test("of the caller's Via only the names of other sidecars pass, and ours is behind them", async (t) => {
  const hostile = await startHostile();
  t.after(() => hostile.close());
  const viaOf = async (headers: string): Promise<string | undefined> => {
    const body = '{"model":"tiny"}';
    const bytes = hostile.request('POST /api/chat', `${headers}Content-Length: ${body.length}\r\n`, body);
    const { forwarded } = await hostile.send(bytes);
    return /^via: (.*)$/im.exec(forwarded[0]?.head ?? '')?.[1];
  };
  const own = await viaOf('');
  assert.match(own ?? '', /^1\.1 opallama-[0-9a-f]{16}$/);
  const other = '1.1 opallama-00000000000000ff';
  assert.equal(
    await viaOf(`Via: 1.0 fred, ${other}\r\nVia: 1.1 secret.internal (x), ${other}\r\n`),
    `${other}, ${other}, ${own}`,
  );
  for (const odd of ['1.1 opallama-xyz', '1.1 opallama-00000000000000fff', `${other}(x)`, '', ',,,', `${other}.evil`]) {
    assert.equal(await viaOf(`Via: ${odd}\r\n`), own, odd);
  }
});
