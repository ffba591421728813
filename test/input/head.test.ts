import { test } from 'node:test';
import { checkHead, checkNoBody, type HeadRules } from '../../src/input/head.ts';
import { assertRefused } from './refusals.ts';

const pseudonym = 'opallama-0123456789abcdef';
const strict: HeadRules = { allowedOrigins: [], hosts: undefined, pseudonym };
const anonymous: HeadRules = { ...strict, hosts: ['Sidecar.example'] };

function head(headers: Readonly<Record<string, string | readonly string[]>>, httpVersion = '1.1') {
  const all = { Host: '127.0.0.1:8080', ...headers };
  const rawHeaders = Object.entries(all).flatMap(([name, value]) => [value].flat().flatMap((one) => [name, one]));
  return { httpVersion, rawHeaders };
}

test('the head of an everyday request passes', () => {
  checkHead(
    head({
      'User-Agent': 'ollama-python/0.6.0',
      Accept: '*/*',
      'Content-Type': 'application/json; charset="UTF-8"; x=y',
      'Content-Length': '12',
      Expect: '100-Continue',
      Connection: 'keep-alive',
    }),
    strict,
  );
});

test('there is exactly one Host', () => {
  assertRefused(() => checkHead({ httpVersion: '1.1', rawHeaders: ['Accept', '*/*'] }, strict), 'invalid_host');
  assertRefused(() => checkHead(head({ Host: ['a', 'a'] }), strict), 'invalid_host');
  assertRefused(() => checkHead(head({ Host: 'a', HOST: 'b' }), strict), 'invalid_host');
});

test('Host is a name or an address with a port or without', () => {
  for (const host of ['localhost', 'a.b-c_d', '[::1]:8080', '127.0.0.1', 'x:1'])
    checkHead(head({ Host: host }), strict);
  for (const host of ['', ' ', 'user@host', 'a/b', 'a:b', 'a:1:2', '[::1', '[zz]', '::1', 'a:123456', 'a b']) {
    assertRefused(() => checkHead(head({ Host: host }), strict), 'invalid_host', host);
  }
});

test('where anyone may call, Host is an address, localhost or a configured name', () => {
  const served = ['127.0.0.1:8080', '[::1]', '10.0.0.7', 'LOCALHOST:1', 'sidecar.EXAMPLE', 'sidecar.example:8080'];
  for (const host of served) checkHead(head({ Host: host }), anonymous);
  for (const host of [
    'evil.example',
    'localhost.evil.example',
    'sidecar.example.evil',
    '127.0.0.1.nip.io',
    '2130706433',
  ]) {
    assertRefused(() => checkHead(head({ Host: host }), anonymous), 'forbidden_host', host);
    checkHead(head({ Host: host }), strict);
  }
});

test('an Origin that is not allowed is forbidden, also null', () => {
  for (const origin of ['http://evil.example', 'null', 'http://localhost', '']) {
    assertRefused(() => checkHead(head({ Origin: origin }), strict), 'forbidden_origin');
  }
  checkHead(head({ Origin: 'https://ui.example' }), { ...strict, allowedOrigins: ['https://ui.example'] });
});

test('a second Origin does not ride on an allowed one', () => {
  const rules = { ...strict, allowedOrigins: ['https://ui.example'] };
  const two = head({ Origin: ['https://ui.example', 'http://evil.example'] });
  assertRefused(() => checkHead(two, rules), 'forbidden_origin');
});

test('a request that was here before is refused, wherever its Via says so', () => {
  checkHead(head({ Via: ['1.1 proxy.example', '1.1 opallama-ffffffffffffffff'] }), strict);
  for (const via of [`1.1 ${pseudonym}`, `1.0 a, 1.1 ${pseudonym}, 1.1 b`, ['1.1 a', `1.1 ${pseudonym} (x)`]]) {
    assertRefused(() => checkHead(head({ Via: via }), strict), 'loop_detected');
  }
});

test('upgrades are refused, h2c too', () => {
  for (const protocol of ['websocket', 'h2c']) {
    assertRefused(() => checkHead(head({ Connection: 'Upgrade', upgrade: protocol }), strict), 'upgrade_refused');
  }
});

test('any Content-Encoding is refused, identity too', () => {
  for (const encoding of ['gzip', 'zstd', 'identity', '']) {
    assertRefused(() => checkHead(head({ 'Content-Encoding': encoding }), strict), 'unsupported_encoding');
  }
});

test('a charset other than UTF-8 is refused, whichever way it is written', () => {
  for (const type of ['application/json', 'text/plain', '', 'application/json;charset=utf8', 'a/b; CHARSET=Utf-8']) {
    checkHead(head({ 'Content-Type': type }), strict);
  }
  const others = [
    'charset=utf-16',
    'charset=latin1',
    'CHARSET="UTF-16LE"',
    'charset=',
    'charset=utf-8; charset=utf-16',
  ];
  for (const parameter of others) {
    const type = { 'Content-Type': `application/json; ${parameter}` };
    assertRefused(() => checkHead(head(type), strict), 'unsupported_charset', parameter);
  }
  assertRefused(() => checkHead(head({ 'Content-Type': ['a/b', 'a/b'] }), strict), 'malformed_http');
});

test('an expectation other than 100-continue fails', () => {
  assertRefused(() => checkHead(head({ Expect: '200-ok' }), strict), 'expectation_failed');
});

test('the length of the body is given once and in one way', () => {
  const both = { 'Content-Length': '3', 'Transfer-Encoding': 'chunked' };
  assertRefused(() => checkHead(head(both), strict), 'malformed_http');
  assertRefused(() => checkHead(head({ 'Content-Length': ['3', '3'] }), strict), 'malformed_http');
  assertRefused(() => checkHead(head({ 'Transfer-Encoding': ['chunked', 'chunked'] }), strict), 'malformed_http');
});

test('the only transfer coding is chunked, and HTTP/1.0 has none', () => {
  checkHead(head({ 'transfer-encoding': 'Chunked' }), strict);
  for (const coding of ['gzip, chunked', 'identity', 'xchunked', 'chunked, chunked', '']) {
    assertRefused(() => checkHead(head({ 'Transfer-Encoding': coding }), strict), 'malformed_http', coding);
  }
  assertRefused(() => checkHead(head({ 'Transfer-Encoding': 'chunked' }, '1.0'), strict), 'malformed_http');
});

test('a route without a body takes none', () => {
  checkNoBody(head({}));
  checkNoBody(head({ 'Content-Length': '0' }));
  for (const length of ['5', '00005', 'x']) {
    assertRefused(() => checkNoBody(head({ 'Content-Length': length })), 'body_not_allowed', length);
  }
  assertRefused(() => checkNoBody(head({ 'TRANSFER-ENCODING': 'chunked' })), 'body_not_allowed');
});
