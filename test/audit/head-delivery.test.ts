/** Signed heads reach their second sink, in order, and are tried again until they are taken. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { createFileDelivery, createHeadDelivery, createPostDelivery } from '../../src/audit/file/head-delivery.ts';
import { portOf } from '../support/port-of.ts';

test('a file gets them as lines, in order', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'opallama-heads-'));
  t.after(() => rmSync(place, { recursive: true, maxRetries: 10, force: true }));
  const path = join(place, 'deeper', 'heads.jsonl');
  const delivery = createHeadDelivery(createFileDelivery(path), (error) => assert.fail(String(error)));
  for (const head of ['a', 'b', 'c']) delivery.send(head);
  await delivery.close();
  assert.equal(readFileSync(path, 'utf8'), 'a\nb\nc\n');
});

test('a URL gets them by POST with the token, and a redirect is not followed', async (t) => {
  const got: string[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    got.push(`${request.method} ${request.url} ${request.headers.authorization} ${body}`);
    response.writeHead(request.url === '/moved' ? 302 : 204, { location: '/elsewhere' }).end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close().closeAllConnections());
  const base = `http://127.0.0.1:${portOf(server)}`;
  const place = mkdtempSync(join(tmpdir(), 'opallama-heads-'));
  t.after(() => rmSync(place, { recursive: true, maxRetries: 10, force: true }));
  const file = join(place, 'token');
  const credentials = { token: 'old', tokenSource: { member: 'token_file', value: file } } as const;
  const post = createPostDelivery(new URL(`${base}/heads`), credentials);
  await assert.rejects(post('{"a":0}'), /ENOENT/);
  for (const token of ['first', 'second']) {
    // Such a token is exchanged every hour.
    writeFileSync(file, `${token} \n\n`);
    await post('{"a":1}');
  }
  await assert.rejects(createPostDelivery(new URL(`${base}/moved`), credentials)('{"a":2}'), /answered 302/);
  assert.deepEqual(got, [
    'POST /heads Bearer first {"a":1}\n',
    'POST /heads Bearer second {"a":1}\n',
    'POST /moved Bearer second {"a":2}\n',
  ]);
});

test('one that is not taken is tried again before the next one, and told of once', async () => {
  const taken: string[] = [];
  let fails = 1;
  const told: unknown[] = [];
  const delivery = createHeadDelivery(
    async (line) => {
      if (fails-- > 0) throw new Error('away');
      taken.push(line);
    },
    (error, lost) => told.push([String(error), lost]),
  );
  delivery.send('a');
  delivery.send('b');
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(taken, []);
  await delivery.close();
  assert.deepEqual(taken, ['a', 'b']);
  assert.deepEqual(told, [['Error: away', 0]]);
});

test('what is never taken is bounded, the oldest goes first, and each that is given up is told of', async () => {
  let lost = 0;
  const delivery = createHeadDelivery(
    () => Promise.reject(new Error('away')),
    (_error, given) => {
      lost += given;
    },
  );
  for (let at = 0; at < 1005; at += 1) delivery.send(String(at));
  assert.equal(lost, 5);
  await delivery.close();
  assert.equal(lost, 1005);
});
