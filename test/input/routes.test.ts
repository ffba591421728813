import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guessApi, matchRoute, readParameter, routes } from '../../src/input/routes.ts';
import { assertRefused } from './refusals.ts';

/** The route with a valid parameter in the place of the braces. */
function pathOf(template: string): string {
  return template
    .replace('{model}', 'hf.co%2Fx%2Ftiny%3A1b')
    .replace('{key}', 'c3NoLWVk_-')
    .replace('{digest}', `sha256:${'0a'.repeat(32)}`);
}

test('every route of the table is found by each of its methods', () => {
  for (const route of routes) {
    for (const method of route.methods) assert.equal(matchRoute(method, pathOf(route.path)), route);
  }
});

test('no two rows take the same method of the same path', () => {
  const taken = routes.flatMap(({ methods, path }) => methods.map((method) => `${method} ${path}`));
  assert.deepEqual(taken.toSorted(), [...new Set(taken)].sort());
});

test('a path that is not in the table is unknown, however near it is', () => {
  const near = [
    '/api/chat/',
    '/API/CHAT',
    '/api/Chat',
    '/api/chat;x',
    '/api',
    '/api/',
    '/v1',
    '',
    '/api/pulls',
    '/metrics',
    '/v1/models/',
    '/v1/models/{model}',
    '/v1/models/x/y',
    '/v1/models/x%2e',
    '/v1/models/x y',
    '/v1/responses/resp_1',
    '/api/user/keys/',
    '/api/blobs/sha256:0a',
    `/api/blobs/sha256-${'0a'.repeat(32)}`,
    `/api/blobs/sha256:${'0A'.repeat(32)}`,
    '/api/user/keys/a.b',
    '/api/user/keys/a%2Fb',
  ];
  for (const path of [...near, '__proto__', '/constructor'])
    assertRefused(() => matchRoute('POST', path), 'unknown_route');
});

test('the name of a model in a path is read with its escapes', () => {
  const route = matchRoute('GET', '/v1/models/hf.co%2fteam%2Ftiny%3A1b');
  assert.equal(readParameter(route, 'model', '/v1/models/hf.co%2fteam%2Ftiny%3A1b'), 'hf.co/team/tiny:1b');
  assert.equal(readParameter(route, 'model', '/v1/models/tiny:1b'), 'tiny:1b');
  assert.equal(readParameter(route, 'key', '/v1/models/tiny'), undefined);
  assert.equal(readParameter(matchRoute('GET', '/v1/models'), 'model', '/v1/models'), undefined);
});

test('another method is answered with the methods that there are', () => {
  const refusal = assertRefused(() => matchRoute('GET', '/api/chat'), 'method_not_allowed');
  assert.deepEqual(refusal.headers, { allow: 'POST' });
  assert.deepEqual(assertRefused(() => matchRoute('POST', '/'), 'method_not_allowed').headers, { allow: 'GET, HEAD' });
  const aliases = assertRefused(() => matchRoute('PUT', '/api/experimental/aliases'), 'method_not_allowed');
  assert.deepEqual(aliases.headers, { allow: 'GET, POST, DELETE' });
});

test('methods are told apart by case, as HTTP does', () => {
  assertRefused(() => matchRoute('post', '/api/chat'), 'method_not_allowed');
});

test('an error before there is a route is told in the dialect that the caller seems to speak', () => {
  assert.equal(guessApi('/v1/nope'), 'openai');
  assert.equal(guessApi('/ollama/v1/chat/completions/'), 'openai');
  assert.equal(guessApi('/v1'), 'openai');
  assert.equal(guessApi('/v1?x'), 'openai');
  assert.equal(guessApi('/ollama/v1/messages?beta=true'), 'anthropic');
  assert.equal(guessApi('/v1/messages_'), 'openai');
  assert.equal(guessApi('/api/chat'), 'ollama');
  assert.equal(guessApi('/v10/x'), 'ollama');
  assert.equal(guessApi('*'), 'ollama');
});
