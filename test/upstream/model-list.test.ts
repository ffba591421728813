/** Which names may be labels: those that the upstream lists, and nothing that a caller made up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveModelName, shortName } from '../../src/input/model-name.ts';
import { openConnections } from '../../src/upstream/connections.ts';
import { createModelList } from '../../src/upstream/model-list.ts';
import { eventually, startStandIn } from './stand-in.ts';

const canonicalize = (name: string) => shortName(resolveModelName(name));

const at = (url: string) => {
  const baseUrl = new URL(url);
  return { baseUrl, connections: openConnections({ baseUrl, timeouts: { connect: 1000, firstByte: 5000 } }) };
};

function answerOf(json: unknown): string {
  const body = typeof json === 'string' ? json : JSON.stringify(json);
  return `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`;
}

async function listFrom(t: Parameters<typeof startStandIn>[0], answer: string, now?: () => number) {
  const standIn = await startStandIn(t, (socket) => socket.end(answer));
  return { standIn, list: createModelList({ ...at(standIn.url), canonicalize, ...(now && { now }) }) };
}

test('listed models are known by their short names, others are not', async (t) => {
  const { list, standIn } = await listFrom(
    t,
    answerOf({ models: [{ name: 'llama3.2:latest' }, { name: 'Team/Model:7B' }] }),
  );
  await list.refresh();
  assert.match(standIn.received[0] ?? '', /^GET \/api\/tags HTTP/);
  assert.equal(list.has('llama3.2'), true);
  assert.equal(list.has(canonicalize('team/model:7b')), true);
  assert.equal(list.has('made-up'), false);
  assert.equal(list.has('constructor'), false);
});

test('a path of the base URL stands before the list as well', async (t) => {
  const standIn = await startStandIn(t, (socket) => socket.end(answerOf({ models: [] })));
  await createModelList({ ...at(`${standIn.url}/ollama/`), canonicalize }).refresh();
  assert.match(standIn.received[0] ?? '', /^GET \/ollama\/api\/tags HTTP/);
});

test('a name that is not known has the list read again, but not more often than every 30 s', async (t) => {
  let now = 0;
  let models: unknown[] = [];
  const standIn = await startStandIn(t, (socket) => socket.end(answerOf({ models })));
  const list = createModelList({ ...at(standIn.url), canonicalize, now: () => now });
  await list.refresh();
  models = [{ name: 'new' }];
  for (let i = 0; i < 100; i += 1) assert.equal(list.has('new'), false);
  assert.equal(standIn.sockets.length, 1, 'a hundred made-up names ask the upstream nothing');
  now = 30_000;
  assert.equal(list.has('new'), false);
  for (let i = 0; i < 100; i += 1) list.has('new-too');
  await eventually('the list was read again', () => list.has('new'));
  assert.equal(standIn.sockets.length, 2);
});

test('what is no list, or no model, leaves the names unknown and throws nothing', async (t) => {
  for (const answer of [
    answerOf('not json'),
    answerOf([]),
    answerOf(null),
    answerOf({ models: 'x' }),
    answerOf({ models: [null, 7, {}, { name: 7 }, { name: '' }, { name: '../..' }, { name: ' spaces ' }] }),
    'HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n',
    'nonsense',
  ]) {
    const { list } = await listFrom(t, answer);
    await list.refresh();
    assert.equal(list.has('x'), false);
  }
  const nobody = createModelList({ ...at('http://127.0.0.1:1'), canonicalize });
  await nobody.refresh();
  assert.equal(nobody.has('x'), false);
});

test('one broken name does not hide the others, and no more than 500 are taken', async (t) => {
  const models = [{ name: '..' }, ...Array.from({ length: 700 }, (_, i) => ({ name: `m${i}` }))];
  const { list } = await listFrom(t, answerOf({ models }));
  await list.refresh();
  assert.equal(list.has('m0'), true);
  assert.equal(list.has('m498'), true);
  assert.equal(list.has('m699'), false);
});
