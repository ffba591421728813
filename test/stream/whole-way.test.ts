/** Recorded streams through the whole sidecar on real sockets, cut at fifty places each. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { sendRaw, statusOf } from '../support/raw-http.ts';
import { recordedStreams } from './bodies.ts';

const cuts = 50;

/** What the next connections are answered with, by the id of the request: two pieces, a moment between them. */
const answers = new Map<string, readonly [Buffer, Buffer]>();

const upstream = net.createServer((socket) => {
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  let received = '';
  socket.on('data', (bytes) => {
    received += bytes.toString('latin1');
    const id = /\r\nx-request-id: (\S+)/i.exec(received)?.[1] ?? '';
    const pieces = answers.get(id);
    if (pieces === undefined || !received.endsWith('}')) return;
    answers.delete(id);
    received = '';
    socket.write(pieces[0], () =>
      setTimeout(() => {
        socket.write(pieces[1]);
        // One of them was recorded from a caller of HTTP/1.0: only the end of the connection ends it.
        if (!/\r\n(?:transfer-encoding|content-length):/i.test(pieces.join(''))) socket.end();
      }, 2),
    );
  });
});
let sidecar: TestSidecar;
let token = '';

before(async () => {
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const address = upstream.address();
  assert.ok(typeof address === 'object' && address !== null);
  sidecar = await startTestSidecar({
    upstream: `http://127.0.0.1:${address.port}`,
    policy: { 'a.rego': 'package ollama.authz\n\nallow := true\n' },
  });
  token = sidecar.token();
});
after(async () => {
  await sidecar.close();
  upstream.close();
});

const requests = {
  '/api/chat': '{"model":"tiny","messages":[]}',
  '/api/generate': '{"model":"tiny","prompt":"x"}',
  '/v1/chat/completions': '{"model":"tiny","messages":[],"stream":true}',
} as const;

function requestOf(path: keyof typeof requests, id: string): Buffer {
  const body = requests[path];
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    `Authorization: Bearer ${token}`,
    `X-Request-Id: ${id}`,
    `Content-Length: ${body.length}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
}

const isUsage = (event: string): boolean => event.includes('"choices":[]') && event.includes('"usage":{');

const isAsked = (path: string): path is keyof typeof requests => Object.hasOwn(requests, path);

for (const { name, path, kind, body, wire } of recordedStreams()) {
  if (!isAsked(path)) continue;

  test(`${name}: cut at ${cuts} places, the client gets its bytes and the record its tokens`, async () => {
    // The caller did not ask for the usage event, so it does not get it.
    const expected =
      kind === 'openai.chat'
        ? body
            .toString('latin1')
            .split(/(?<=\n\n)/)
            .filter((event) => !isUsage(event))
            .join('')
        : body.toString('latin1');
    const seen = new Set<string>();

    const ask = async (index: number): Promise<void> => {
      const at = Math.floor(((index + 1) * wire.length) / (cuts + 1));
      const id = `${name}-${index}`;
      answers.set(id, [wire.subarray(0, at), wire.subarray(at)]);
      const { responses } = await sendRaw(sidecar.port, requestOf(path, id), { methods: ['POST'] });
      const [got] = responses;
      assert.ok(
        got !== undefined && statusOf(got) === 200 && got.complete,
        `cut at ${at}: ${got?.startLine} ${got?.body}`,
      );
      assert.equal(got.body.toString('latin1'), expected, `cut at ${at}`);
    };
    for (let index = 0; index < cuts; index += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, i) => ask(index + i)));
    }

    const own = () => sidecar.events.filter(({ request_id }) => request_id.startsWith(`${name}-`));
    for (let tries = 0; own().length < cuts && tries < 200; tries += 1)
      await new Promise((next) => setTimeout(next, 5));
    assert.equal(own().length, cuts, 'one event for each');
    for (const event of own()) {
      const { outcome, usage, input_tokens, output_tokens, finish_reason } = event;
      seen.add(JSON.stringify({ outcome, usage, input_tokens, output_tokens, finish_reason }));
    }
    assert.equal(seen.size, 1, `the record depends on where it was cut: ${[...seen].join(' ')}`);
    const says = JSON.parse([...seen][0] ?? '{}');
    const counted = /"eval_count":(\d+)|"completion_tokens":(\d+)/.exec(body.toString());
    assert.equal(says.output_tokens, counted === null ? undefined : Number(counted[1] ?? counted[2]));
  });
}
