import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildCurlRequest, readCurlWords } from '../../src/cli/curl.ts';
import { CallError } from '../../src/errors.ts';

const files: Readonly<Record<string, string>> = {
  'body.json': '{"model":\r\n"llama3.2"}\n',
  headers: 'X-One: 1\r\nX-Two: 2\r\n',
};

function read(path: string): Uint8Array {
  const text = files[path];
  if (text === undefined) throw new CallError(`no ${path}`);
  return Buffer.from(text);
}

function request(...words: string[]) {
  const { body, headers, ...rest } = buildCurlRequest(readCurlWords(words), read);
  return { ...rest, body: Buffer.from(body).toString(), headers: headers.map((header) => header.join(': ')) };
}

test('a request has what curl adds to it: a method by its data, host, type and length', () => {
  assert.deepEqual(request('http://127.0.0.1:8080/api/chat?x=1#y', '-d', '{}'), {
    method: 'POST',
    target: '/api/chat?x=1',
    headers: [
      'Host: 127.0.0.1:8080',
      'User-Agent: curl/8.0',
      'Accept: */*',
      'Content-Type: application/x-www-form-urlencoded',
      'Content-Length: 2',
    ],
    body: '{}',
  });
  assert.equal(request('/api/tags').method, 'GET');
  assert.equal(request('http://localhost').target, '/');
  assert.equal(request('-I', '/').method, 'HEAD');
  assert.equal(request('-XDELETE', '/api/delete', '-d', '{}').method, 'DELETE');
});

test('headers of the caller stand in the place of those that curl adds, and stand twice where they are given twice', () => {
  const { headers } = request('/x', '-H', 'host: other', '-H', 'Accept:', '-H', 'X-Empty;', '-H', 'A: 1', '-H', 'a: 2');
  assert.deepEqual(headers, ['host: other', 'User-Agent: curl/8.0', 'X-Empty: ', 'A: 1', 'a: 2']);
  assert.deepEqual(request('/x', '-H', '@headers').headers.slice(3), ['X-One: 1', 'X-Two: 2']);
  assert.ok(request('/x', '-u', 'a:b').headers.includes('Authorization: Basic YTpi'));
  assert.ok(request('http://a:b@host/x').headers.includes('Authorization: Basic YTpi'));
});

test('data of a file loses its line breaks by -d and keeps them by --data-binary', () => {
  assert.equal(request('/x', '-d', '@body.json').body, '{"model":"llama3.2"}');
  assert.equal(request('/x', '--data-binary', '@body.json').body, files['body.json']);
  assert.equal(request('/x', '--data-raw', '@body.json').body, '@body.json');
  assert.equal(request('/x', '-d', 'a=1', '-d', 'b=2').body, 'a=1&b=2');
  const json = request('/x', '--json', '{"a":1}');
  assert.deepEqual([json.body, json.headers[2]], ['{"a":1}', 'Accept: application/json']);
  const upload = request('-T', 'body.json', '/api/blobs/sha256:x');
  assert.equal(upload.method, 'PUT');
  assert.equal(upload.body, files['body.json']);
});

test('what only concerns the connection or the output is passed over, short flags run together too', () => {
  const pasted = request('-sSN', '--max-time', '5', '-kL', '-o', 'out', '/api/chat', '-XPOST', '-d{}');
  assert.deepEqual([pasted.method, pasted.target, pasted.body], ['POST', '/api/chat', '{}']);
});

for (const [words, message] of [
  [['/x', '--form', 'a=b'], /--form of curl is not understood/],
  [['/x', '/y'], /One request at a time/],
  [['/x', '-H'], /-H needs a value/],
  [['/x', '-H', 'no colon'], /"Name: value"/],
  [['/x', '-H', 'A: b\r\nC: d'], /"Name: value"/],
  [['api/chat'], /neither a path/],
  [['-d', '{}'], /Say what is asked/],
] as const) {
  test(`refused: curl ${JSON.stringify(words)}`, () => {
    assert.throws(
      () => request(...words),
      (error) => error instanceof CallError && message.test(error.message),
    );
  });
}
