import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultsOf, guests, load } from './sources.ts';

function upstreamOf(env: Readonly<Record<string, string>>, yaml = guests): string {
  return load({ yaml, env }).upstream.baseUrl.href;
}

/** Forms of OLLAMA_HOST and where Ollama's own `envconfig` (0.17.4) leads with them, wildcards as a client must read them. */
const hosts: ReadonlyArray<readonly [value: string, href: string]> = [
  ['', 'http://127.0.0.1:11434/'],
  [' ', 'http://127.0.0.1:11434/'],
  ['0.0.0.0', 'http://127.0.0.1:11434/'],
  ['0.0.0.0:8081', 'http://127.0.0.1:8081/'],
  ['127.0.0.1', 'http://127.0.0.1:11434/'],
  ['127.0.0.1:1234', 'http://127.0.0.1:1234/'],
  [':1234', 'http://127.0.0.1:1234/'],
  ['example.com', 'http://example.com:11434/'],
  ['example.com:1234', 'http://example.com:1234/'],
  ['example.com:', 'http://example.com:11434/'],
  ['http://example.com', 'http://example.com/'],
  ['https://example.com', 'https://example.com/'],
  ['http://example.com:1234', 'http://example.com:1234/'],
  ['https://example.com:1234', 'https://example.com:1234/'],
  ['example.com/', 'http://example.com:11434/'],
  ['example.com/ollama', 'http://example.com:11434/ollama'],
  ['http://example.com:1234/ollama/', 'http://example.com:1234/ollama'],
  ['::1', 'http://[::1]:11434/'],
  ['[::1]', 'http://[::1]:11434/'],
  ['[::1]:1234', 'http://[::1]:1234/'],
  ['[::]', 'http://[::1]:11434/'],
  ['::', 'http://[::1]:11434/'],
  [' "10.0.0.5:1234" ', 'http://10.0.0.5:1234/'],
  ["'10.0.0.5'", 'http://10.0.0.5:11434/'],
  ['ollama.com', 'https://ollama.com/'],
];

for (const [value, href] of hosts) {
  test(`OLLAMA_HOST="${value}" leads to ${href}`, () => assert.equal(upstreamOf({ OLLAMA_HOST: value }), href));
}

test('an OLLAMA_HOST that can not be called is a fault, where Ollama would take another port in silence', () => {
  for (const value of [
    'host:port',
    'host:0',
    'host:65536',
    'ftp://host',
    'a b',
    '[::1',
    '1.2.3',
    'user@host',
    'host?x',
    'a:b:c',
  ]) {
    assert.match(faultsOf({ yaml: guests, env: { OLLAMA_HOST: value } })[0] ?? '', /^OLLAMA_HOST: /, value);
  }
});

test('the configuration goes over OLLAMA_BASE_URL, and that over OLLAMA_HOST', () => {
  const env = { OLLAMA_BASE_URL: 'http://base:1', OLLAMA_HOST: 'host:2' };
  const yaml = `${guests}upstream: { base_url: "http://file:3" }\n`;
  assert.equal(upstreamOf({}), 'http://127.0.0.1:11434/');
  assert.equal(upstreamOf({ OLLAMA_HOST: 'host:2' }), 'http://host:2/');
  assert.equal(upstreamOf(env), 'http://base:1/');
  assert.equal(upstreamOf({ ...env, OLLAMA_BASE_URL: '' }), 'http://host:2/');
  assert.equal(upstreamOf(env, yaml), 'http://file:3/');
  assert.equal(upstreamOf({ ...env, OPALLAMA_UPSTREAM__BASE_URL: 'http://variable:4' }, yaml), 'http://variable:4/');
  const flags = [{ name: '--upstream', path: 'upstream.base_url', value: 'http://flag:5' }];
  assert.equal(load({ yaml, env, flags }).upstream.baseUrl.href, 'http://flag:5/');
});

test('what is gone over is not read: a useless OLLAMA_HOST stops nobody who names the upstream', () => {
  const env = { OLLAMA_HOST: 'ftp://x', OLLAMA_BASE_URL: 'http://base:1' };
  assert.equal(upstreamOf(env), 'http://base:1/');
});

test('a fault of OLLAMA_BASE_URL names the variable', () => {
  assert.deepEqual(faultsOf({ yaml: guests, env: { OLLAMA_BASE_URL: 'ollama:11434' } }), [
    `OLLAMA_BASE_URL: "ollama:11434" is not an upstream's URL; write http://ollama:11434`,
  ]);
});
