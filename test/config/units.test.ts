import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddress, parseBaseUrl, parseDuration, parseSize, UnitError } from '../../src/config/units.ts';

test('durations are read in ms', () => {
  for (const [text, ms] of [
    ['2s', 2_000],
    ['500ms', 500],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['1.5s', 1_500],
    ['0s', 0],
    ['0', 0],
    [0, 0],
    ['596h', 2_145_600_000],
  ] as const) {
    assert.equal(parseDuration(text), ms, String(text));
  }
});

test('a duration without a unit, with a wrong one, or out of range is refused', () => {
  for (const text of [
    '',
    '5',
    5,
    '-1s',
    '1d',
    '1 s',
    '1S',
    's',
    '1s5',
    '0x1s',
    '1e3s',
    '597h',
    '0.1ms',
    'Infinity',
    '１s',
  ]) {
    assert.throws(() => parseDuration(text), UnitError, String(text));
  }
});

test('sizes are read in bytes, KB and KiB apart', () => {
  for (const [text, bytes] of [
    ['32MiB', 33_554_432],
    ['16KiB', 16_384],
    ['1MB', 1_000_000],
    ['1.5 KiB', 1_536],
    ['1GiB', 1_073_741_824],
    ['512', 512],
    [512, 512],
    ['7B', 7],
  ] as const) {
    assert.equal(parseSize(text), bytes, String(text));
  }
  for (const text of ['', '0', '-1', '1M', '1mib', '1Mi', '999999999999GiB', '0.1B', '1e9', 'MiB']) {
    assert.throws(() => parseSize(text), UnitError, text);
  }
});

test('addresses are read in every form', () => {
  for (const [text, host, port] of [
    ['127.0.0.1:8080', '127.0.0.1', 8080],
    ['LocalHost:1', 'localhost', 1],
    [':8080', '0.0.0.0', 8080],
    ['8080', '0.0.0.0', 8080],
    [8080, '0.0.0.0', 8080],
    ['[::1]:8080', '::1', 8080],
    ['[::]:0', '::', 0],
    ['my_box.internal:65535', 'my_box.internal', 65_535],
  ] as const) {
    assert.deepEqual(parseAddress(text), { host, port }, String(text));
  }
});

test('what is not an address is refused', () => {
  for (const text of [
    '',
    ':',
    'localhost',
    '::1:8080',
    '[1.2.3.4]:80',
    '1.2.3:80',
    '1.2.3.256:80',
    'a b:80',
    'host:65536',
    'host:-1',
    'http://host:80',
    '-a:80',
    80.5,
  ]) {
    assert.throws(() => parseAddress(text), UnitError, String(text));
  }
  assert.throws(() => parseAddress('::1'), /an IPv6 address stands in brackets: \[::1\]:8080/);
});

test('the URL of an upstream may have a path prefix and nothing that is not part of an address', () => {
  for (const [text, href] of [
    ['http://127.0.0.1:11434', 'http://127.0.0.1:11434/'],
    ['http://ollama', 'http://ollama/'],
    ['HTTPS://Ollama.example/base/', 'https://ollama.example/base'],
    ['http://0.0.0.0:11434', 'http://127.0.0.1:11434/'],
    ['http://[::]:11434', 'http://[::1]:11434/'],
  ] as const) {
    assert.equal(parseBaseUrl(text).href, href, text);
  }
  for (const text of [
    '',
    'localhost:11434',
    'ftp://host',
    'http://',
    'http://user@host',
    'http://user:password@host',
    'http://host?a=1',
    'http://host?',
    'http://host/#x',
    'http://host:0',
    'http://host:99999',
    'http://host/a//b',
    'http://host/%2e',
    'http://host/a/../b',
    'http://host/a/.',
    'http://host\\@evil',
    'http://ho st',
    'http://host\t',
    'unix:///run/ollama.sock',
  ]) {
    assert.throws(() => parseBaseUrl(text), UnitError, text);
  }
  assert.throws(() => parseBaseUrl('localhost:11434'), /write http:\/\/localhost:11434/);
});

test('a password in the URL of an upstream is not repeated', () => {
  assert.throws(
    () => parseBaseUrl('http://user:hunter2@host'),
    (error) => error instanceof UnitError && !error.message.includes('hunter2'),
  );
});
