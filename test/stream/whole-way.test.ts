/** Recorded streams through the whole sidecar on real sockets, cut at fifty places each. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';
import { portOf } from '../support/port-of.ts';
import { sendRaw, statusOf } from '../support/raw-http.ts';
import readings from './answers.json' with { type: 'json' };
import { type RecordedBody, recordedStreams } from './bodies.ts';

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
  const port = portOf(upstream);
  sidecar = await startTestSidecar({
    upstream: `http://127.0.0.1:${port}`,
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
  '/api/pull': '{"model":"tiny"}',
  '/api/push': '{"model":"tiny"}',
  '/api/create': '{"model":"tiny","from":"tiny"}',
  '/v1/chat/completions': '{"model":"tiny","messages":[],"stream":true}',
  '/v1/completions': '{"model":"tiny","prompt":"x","stream":true}',
  '/v1/responses': '{"model":"tiny","input":"x","stream":true}',
  '/v1/messages': '{"model":"tiny","messages":[],"max_tokens":1,"stream":true}',
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

/** The caller did not ask for the counts of a completion, so it gets nothing of what the question brought. */
function withoutCounts({ kind, body }: RecordedBody): string {
  const text = body.toString('latin1');
  if (kind !== 'openai.chat' && kind !== 'openai.completion') return text;
  return text
    .split(/(?<=\n\n)/)
    .filter((event) => !(event.includes('"choices":[]') && event.includes('"usage":{')))
    .map((event) => event.replace(/,"usage":\{"prompt_tokens":0,[^}]*\}(?=\}\n\n$)/, ''))
    .join('');
}

const isAsked = (path: string): path is keyof typeof requests => Object.hasOwn(requests, path);
const rows = new Map<string, string>(Object.entries(readings));
const outcomes = { ended: 'complete', open: 'incomplete', failed: 'error' } as const;

for (const recorded of recordedStreams()) {
  const { name, path, wire } = recorded;

  test(`${name}: cut at ${cuts} places, the client gets its bytes and the record what the answer says`, async () => {
    assert.ok(isAsked(path), path);
    const expected = withoutCounts(recorded);
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
    for (const deadline = Date.now() + 30_000; own().length < cuts && Date.now() < deadline; )
      await new Promise((next) => setTimeout(next, 5));
    assert.equal(own().length, cuts, 'one event for each');
    for (const event of own()) {
      const { outcome, usage, input_tokens, output_tokens, finish_reason } = event;
      seen.add(JSON.stringify({ outcome, usage, input_tokens, output_tokens, finish_reason }));
    }
    assert.equal(seen.size, 1, `the record depends on where it was cut: ${[...seen].join(' ')}`);
    const { outcome, usage, input_tokens, output_tokens, finish_reason } = JSON.parse([...seen][0] ?? '{}');
    const counts = usage === 'known' ? `${input_tokens ?? '-'}/${output_tokens ?? '-'}` : usage;
    const [said, reason, end] = (rows.get(name) ?? '').replace(/^.*: /, '').split(' ');
    assert.ok(end === 'ended' || end === 'open' || end === 'failed');
    assert.deepEqual([counts, finish_reason ?? '-', outcome], [said, reason, outcomes[end]]);
  });
}
