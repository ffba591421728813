import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guessApi, matchRoute, routes } from '../../src/input/routes.ts';
import { assertRefused } from './refusals.ts';

test('every route of the table is found by each of its methods', () => {
  for (const route of routes) {
    for (const method of route.methods) assert.equal(matchRoute(method, route.path), route);
  }
});

test('the routes of the first light are all there', () => {
  const listed = routes.map((route) => `${route.methods.join(',')} ${route.path} ${route.operation}`);
  assert.deepEqual(listed.sort(), [
    'GET /v1/models models.list',
    'GET,HEAD / root',
    'GET,HEAD /api/tags models.list',
    'GET,HEAD /api/version version',
    'POST /api/chat chat',
    'POST /api/generate generate',
    'POST /v1/chat/completions chat',
  ]);
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
    '/api/pull',
    '/metrics',
  ];
  for (const path of [...near, '__proto__', '/constructor'])
    assertRefused(() => matchRoute('POST', path), 'unknown_route');
});

test('another method is answered with the methods that there are', () => {
  const refusal = assertRefused(() => matchRoute('GET', '/api/chat'), 'method_not_allowed');
  assert.deepEqual(refusal.headers, { allow: 'POST' });
  assert.deepEqual(assertRefused(() => matchRoute('POST', '/'), 'method_not_allowed').headers, { allow: 'GET, HEAD' });
});

test('methods are told apart by case, as HTTP does', () => {
  assertRefused(() => matchRoute('post', '/api/chat'), 'method_not_allowed');
});

test('an error before there is a route is told in the dialect that the caller seems to speak', () => {
  assert.equal(guessApi('/v1/nope'), 'openai');
  assert.equal(guessApi('/ollama/v1/chat/completions/'), 'openai');
  assert.equal(guessApi('/v1'), 'openai');
  assert.equal(guessApi('/v1?x'), 'openai');
  assert.equal(guessApi('/api/chat'), 'ollama');
  assert.equal(guessApi('/v10/x'), 'ollama');
  assert.equal(guessApi('*'), 'ollama');
});
