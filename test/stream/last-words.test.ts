/** A stream that dies midway ends with an error that the clients of its dialect see, wherever it was cut. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { startTestSidecar } from '../support/in-process.ts';
import { portOf } from '../support/port-of.ts';
import { sendRaw } from '../support/raw-http.ts';

const openaiFrames =
  'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[{"delta":{"content":"b"}}]}\n\n';
const nativeFrames = '{"message":{"content":"a"},"done":false}\n{"message":{"content":"b"},"done":false}\n';

const dialects = [
  {
    path: '/v1/chat/completions',
    type: 'text/event-stream',
    frames: openaiFrames,
    frameEnd: '\n\n',
    body: '{"model":"tiny","messages":[],"stream":true}',
    /** As the specification of server-sent events reads them: data lines up to a blank line are one event. */
    read: (text: string) =>
      text.split(/\n\n+/).flatMap((event) => {
        const data = event.split('\n').flatMap((line) => (line.startsWith('data: ') ? [line.slice(6)] : []));
        return data.length === 0 ? [] : [data.join('\n')];
      }),
  },
  {
    path: '/api/chat',
    type: 'application/x-ndjson',
    frames: nativeFrames,
    frameEnd: '\n',
    body: '{"model":"tiny","messages":[]}',
    read: (text: string) => text.split('\n').slice(0, -1),
  },
] as const;

for (const { path, type, frames, frameEnd, body, read } of dialects) {
  test(`${path}: cut behind any byte, the last frame is an error that stands alone`, async (t) => {
    let sent = '';
    const upstream = net.createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', (bytes) => {
        if (!bytes.toString().endsWith('}')) return;
        const head = `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`;
        socket.write(`${head}${sent.length.toString(16)}\r\n${sent}\r\n`, () => setTimeout(() => socket.destroy(), 5));
      });
    });
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    t.after(() => upstream.close());
    const port = portOf(upstream);
    const sidecar = await startTestSidecar({
      upstream: `http://127.0.0.1:${port}`,
      policy: { 'a.rego': 'package ollama.authz\n\nallow := true\n' },
      anonymousRoles: ['guest'],
    });
    t.after(() => sidecar.close());
    const request = Buffer.from(
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    for (let cut = 1; cut <= frames.length; cut += 1) {
      sent = frames.slice(0, cut);
      const { responses, closed } = await sendRaw(sidecar.port, request, { methods: ['POST'] });
      const [answer] = responses;
      assert.ok(answer !== undefined);
      assert.deepEqual([closed, answer.complete], [true, false], 'no clean end');
      const told = read(answer.body.toString());
      const last = JSON.parse(told.at(-1) ?? '');
      assert.match(JSON.stringify(last), /Ollama stopped in the middle of its answer/, `cut at ${cut}`);
      assert.equal(Object.keys(last).join(), 'error');
      // What had come whole is still there, and whole.
      const whole = read(sent.includes(frameEnd) ? sent.slice(0, sent.lastIndexOf(frameEnd) + frameEnd.length) : '');
      assert.deepEqual(told.slice(0, whole.length), whole, `cut at ${cut}`);
    }
    const events = await sidecar.waitForEvents(frames.length);
    assert.equal(events.length, frames.length);
    for (const { outcome, error, status } of events) {
      assert.deepEqual({ outcome, error, status }, { outcome: 'incomplete', error: 'upstream_died', status: 200 });
    }
  });
}
