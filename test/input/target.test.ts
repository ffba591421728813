import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTarget } from '../../src/input/target.ts';
import { createRandom } from './random.ts';
import { assertRefused, codeOf } from './refusals.ts';

const prefixes = ['/ollama', '/api/v1/ollama', '/api'];

test('a plain path is its own', () => {
  assert.deepEqual(parseTarget('/api/chat', []), { path: '/api/chat', query: '', prefix: '' });
  assert.deepEqual(parseTarget('/', []), { path: '/', query: '', prefix: '' });
});

test('the query is kept as it came', () => {
  assert.equal(parseTarget('/api/chat?ts=1&x=%2F//../\\', []).query, '?ts=1&x=%2F//../\\');
  assert.equal(parseTarget('/api/chat?', []).query, '?');
  assert.equal(parseTarget('/api/chat?a?b', []).path, '/api/chat');
});

test('the longest configured prefix is taken off, once, at the end of a segment', () => {
  assert.deepEqual(parseTarget('/ollama/api/chat?x', prefixes), { path: '/api/chat', query: '?x', prefix: '/ollama' });
  assert.equal(parseTarget('/api/v1/ollama/api/chat', prefixes).path, '/api/chat');
  assert.equal(parseTarget('/ollama/ollama/api/chat', prefixes).path, '/ollama/api/chat');
  assert.equal(parseTarget('/ollamas/api/chat', prefixes).path, '/ollamas/api/chat');
});

test('a bare prefix is the root', () => {
  assert.equal(parseTarget('/ollama', prefixes).path, '/');
  assert.equal(parseTarget('/ollama/', prefixes).path, '/');
});

test('what a cleaning or decoding router reads as another path is refused', () => {
  const odd = [
    '/api/%63hat',
    '/api%2fchat',
    '//api/chat',
    '/api//chat',
    '/api/chat//',
    '/./api/chat',
    '/api/./chat',
    '/api/../api/chat',
    '/api/chat/.',
    '/api/chat/..',
    '/..',
    '/api\\chat',
    '/api/chat#x',
    '/api/chat?x#y',
    '/ollama//api/chat',
    '/ollama/../api/chat',
  ];
  for (const target of odd) assertRefused(() => parseTarget(target, prefixes), 'invalid_target', target);
});

test('dots are no segments where something else stands beside them', () => {
  assert.equal(parseTarget('/api/...', []).path, '/api/...');
  assert.equal(parseTarget('/.api/chat.', []).path, '/.api/chat.');
});

test('only the origin form is taken', () => {
  for (const target of ['http://evil.example/api/chat', 'evil.example:443', '*', '', 'api/chat', '?x']) {
    assertRefused(() => parseTarget(target, prefixes), 'invalid_target', target);
  }
});

test('control characters, spaces and what is not ASCII are refused in path and query', () => {
  for (const character of ['\0', '\t', '\n', '\r', ' ', '\x7f', '\x80', '\xff', '\u0130', '\u2028']) {
    assertRefused(() => parseTarget(`/api/chat${character}`, []), 'invalid_target');
    assertRefused(() => parseTarget(`/api/chat?${character}`, []), 'invalid_target');
  }
});

test("a model's name in a path may escape its slashes and colons, and nothing else may be escaped", () => {
  for (const name of ['tiny%3Alatest', 'hf.co%2Fteam%2ftiny%3a1b', 'tiny:1b']) {
    assert.equal(parseTarget(`/ollama/v1/models/${name}`, prefixes).path, `/v1/models/${name}`);
  }
  for (const target of [
    '/v1/models/%2e%2e',
    '/v1/models/tin%79',
    '/v1/models/tiny%253A',
    '/v1/models/a/b%2Fc',
    '/v1/models%2Ftiny',
    '/v1%2Fmodels/tiny',
    '/x/v1/models/a%2Fb',
    '/api/blobs/sha256%3Aaa',
    '/v1/models/tiny%3',
  ]) {
    assertRefused(() => parseTarget(target, prefixes), 'invalid_target', target);
  }
});

test('a target over 8 KiB is too long', () => {
  assert.equal(parseTarget(`/${'a'.repeat(8191)}`, []).path.length, 8192);
  assertRefused(() => parseTarget(`/${'a'.repeat(8192)}`, []), 'uri_too_long');
});

test('whatever comes, it is a plain path or one of two refusals', () => {
  const random = createRandom(7);
  const pieces = [
    '/',
    '.',
    '..',
    '%',
    '%2e',
    '\\',
    '?',
    '#',
    'api',
    'chat',
    'ollama',
    ';',
    ':',
    '@',
    ' ',
    '\0',
    'é',
    '*',
  ];
  for (let round = 0; round < 5000; round++) {
    let target = '';
    for (let length = random(9); length > 0; length--) target += pieces[random(pieces.length)];
    const code = codeOf(() => {
      const { path, query, prefix } = parseTarget(target, prefixes);
      assert.match(path, /^\/[!-~]*$/);
      assert.equal(new URL(path, 'http://x').pathname, path, `a URL parser reads ${path} otherwise`);
      assert.ok(target === `${prefix}${path}${query}` || target === `${prefix}${query}`);
    });
    assert.ok(code === undefined || code === 'invalid_target', target);
  }
});
