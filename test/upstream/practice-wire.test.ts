/** The practice upstream, which itself stands in for Ollama, asked directly on sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPracticeUpstream, PRACTICE_HEADER } from '../../src/upstream/practice/server.ts';

const messages = [{ role: 'user', content: 'hi' }];

async function start(t: TestContext, frameDelayMs = 0): Promise<URL> {
  const practice = await createPracticeUpstream({ frameDelayMs });
  t.after(() => practice.close());
  return practice.url;
}

/** Sends bytes on a socket of its own and gives back everything until the other side closes. */
async function exchange(url: URL, text: string): Promise<string> {
  const socket = connect(Number(url.port), url.hostname);
  socket.setEncoding('latin1');
  socket.write(text);
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  await once(socket, 'close');
  return answer;
}

function postBytes(path: string, body: unknown): string {
  const text = JSON.stringify(body);
  const length = Buffer.byteLength(text);
  return `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${length}\r\n\r\n${text}`;
}

function chunksOf(answer: string): string[] {
  const chunks: string[] = [];
  let at = answer.indexOf('\r\n\r\n') + 4;
  for (;;) {
    const lineEnd = answer.indexOf('\r\n', at);
    const size = Number.parseInt(answer.slice(at, lineEnd), 16);
    if (!(size > 0)) return chunks;
    chunks.push(answer.slice(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}

test('each event is one HTTP chunk, and finish, usage and [DONE] share the last', async (t) => {
  const url = await start(t, 1);
  const asked = { model: 'practice', messages, max_tokens: 3, stream: true, stream_options: { include_usage: true } };
  const events = chunksOf(await exchange(url, postBytes('/v1/chat/completions', asked)));
  assert.equal(events.length, 4);
  assert.ok(events.slice(0, 3).every((event) => event.split('\n\n').length === 2));
  assert.match(
    events[3] ?? '',
    /"finish_reason":"length"}\]}\n\ndata: .*"choices":\[\],"usage":.*\n\ndata: \[DONE\]\n\n$/,
  );
  const native = { model: 'practice', messages, options: { num_predict: 2 } };
  const lines = chunksOf(await exchange(url, postBytes('/api/chat', native)));
  assert.equal(lines.length, 3);
  assert.ok(lines.every((line) => line.endsWith('}\n') && line.split('\n').length === 2));
});

test('frames have the members of a real Ollama in their order', async (t) => {
  const url = await start(t);
  const shape = (line: string) => line.replaceAll(/:"[^"]*"/g, ':""').replaceAll(/:\d+/g, ':0');
  const counts =
    '"total_duration":0,"load_duration":0,"prompt_eval_count":0,"prompt_eval_duration":0,"eval_count":0,"eval_duration":0';
  const chat = chunksOf(await exchange(url, postBytes('/api/chat', { model: 'practice', messages }))).map(shape);
  const message = '"message":{"role":"","content":""}';
  assert.equal(chat[0], `{"model":"","created_at":"",${message},"done":false}\n`);
  assert.equal(chat.at(-1), `{"model":"","created_at":"",${message},"done":true,"done_reason":"",${counts}}\n`);
  const prompt = { model: 'practice', prompt: 'hi', options: { num_predict: 1 } };
  const generate = chunksOf(await exchange(url, postBytes('/api/generate', prompt))).map(shape);
  assert.equal(generate[0], '{"model":"","created_at":"","response":"","done":false}\n');
  assert.equal(
    generate[1],
    `{"model":"","created_at":"","response":"","done":true,"done_reason":"","context":[4],${counts}}\n`,
  );
  const completion = { model: 'practice', messages, stream: true };
  const events = chunksOf(await exchange(url, postBytes('/v1/chat/completions', completion))).map(shape);
  assert.equal(
    events[0],
    'data: {"id":"","object":"","created":0,"model":"","system_fingerprint":"",' +
      '"choices":[{"index":0,"delta":{"role":"","content":""},"finish_reason":null}]}\n\n',
  );
});

test('every answer says that it comes from the practice upstream', async (t) => {
  const url = await start(t);
  for (const [method, path, status] of [
    ['GET', '/', 200],
    ['HEAD', '/', 200],
    ['GET', '/api/version', 200],
    ['GET', '/api/chat', 405],
    ['GET', '/nope', 404],
    ['POST', '/api/chat', 400],
  ] as const) {
    const response = await fetch(new URL(path, url), { method });
    assert.equal(response.status, status);
    assert.equal(response.headers.get(PRACTICE_HEADER[0]), PRACTICE_HEADER[1]);
    await response.body?.cancel();
  }
});

test('a body that cannot be read is refused', async (t) => {
  const url = await start(t);
  for (const body of ['{', '[]', '{}', '{"model":1}', '{"model":"practice","stream":"yes"}']) {
    for (const path of ['/api/chat', '/v1/chat/completions']) {
      const response = await fetch(new URL(path, url), { method: 'POST', body });
      assert.equal(response.status, 400, `${path} ${body}`);
      const shape = path === '/api/chat' ? /^\{"error":"[^"]+"\}$/ : /^\{"error":\{"message":"[^"]+","type":"[a-z_]+",/;
      assert.match(await response.text(), shape);
    }
  }
});

test('a body over 32 MiB is refused and its connection closed', async (t) => {
  const url = await start(t);
  const socket = connect(Number(url.port), url.hostname);
  t.after(() => socket.destroy());
  socket.on('error', () => undefined);
  const size = 33 * 1024 * 1024;
  socket.write(`POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`);
  socket.write(Buffer.alloc(size, ' '));
  const [first] = await once(socket, 'data');
  assert.match(String(first), /^HTTP\/1\.1 413 /);
  await once(socket, 'close');
});

test('an unknown model is a 404 in the shape of the dialect, streamed or not', async (t) => {
  const url = await start(t);
  const message = "model 'nope' not found";
  for (const [path, expected] of [
    ['/api/chat', `{"error":"${message}"}`],
    ['/api/generate', `{"error":"${message}"}`],
    ['/v1/chat/completions', `{"error":{"message":"${message}","type":"api_error","param":null,"code":null}}\n`],
  ] as const) {
    for (const stream of [true, false]) {
      const body = JSON.stringify({ model: 'nope', messages, prompt: 'hi', stream });
      const response = await fetch(new URL(path, url), { method: 'POST', body });
      assert.equal(response.status, 404);
      assert.equal(await response.text(), expected);
    }
  }
});

test('generation stops when the client leaves', async (t) => {
  const url = await start(t, 300);
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const socket = connect(Number(url.port), url.hostname);
  // Seconds of frames, were they all made.
  socket.write(postBytes('/api/chat', { model: 'practice', messages }));
  await once(socket, 'data');
  assert.equal(timers(), before + 1, 'the pause before the next frame runs');
  socket.destroy();
  for (const deadline = Date.now() + 3000; timers() > before && Date.now() < deadline; ) await sleep(5);
  assert.equal(timers(), before);
});

test('half a close counts as leaving', async (t) => {
  const url = await start(t, 200);
  const socket = connect({ port: Number(url.port), host: url.hostname, allowHalfOpen: true });
  t.after(() => socket.destroy());
  let answer = '';
  socket.on('data', (chunk) => {
    answer += String(chunk);
  });
  socket.write(postBytes('/api/chat', { model: 'practice', messages }));
  await once(socket, 'data');
  socket.end();
  await once(socket, 'end');
  assert.match(answer, /"done":false/);
  assert.doesNotMatch(answer, /"done":true/);
});

test('closing ends an answer that is under way', async () => {
  const practice = await createPracticeUpstream({ frameDelayMs: 200 });
  const response = await fetch(new URL('/api/chat', practice.url), {
    method: 'POST',
    body: JSON.stringify({ model: 'practice', messages }),
  });
  await practice.close();
  await assert.rejects(response.text());
  await assert.rejects(fetch(practice.url));
  await practice.close();
});
