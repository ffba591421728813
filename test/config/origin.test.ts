import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOrigin } from '../../src/config/origin.ts';
import { UnitError } from '../../src/config/units.ts';
import { guests, load } from './sources.ts';

test('an origin is taken as browsers and shells around them send it', () => {
  for (const origin of [
    'https://ui.example',
    'http://localhost:3000',
    'http://127.0.0.1',
    'http://[::1]:8080',
    'https://xn--bcher-kva.example',
    'tauri://localhost',
    'chrome-extension://abcdefghijklmnop',
    'vscode-webview://a-b.c',
  ]) {
    assert.equal(parseOrigin(origin), origin);
  }
});

const corrected: ReadonlyArray<readonly [written: string, sent: string]> = [
  ['https://ui.example/', 'https://ui.example'],
  ['https://ui.example/chat?x#y', 'https://ui.example'],
  ['https://UI.example', 'https://ui.example'],
  ['HTTPS://ui.example', 'https://ui.example'],
  ['https://ui.example:443', 'https://ui.example'],
  ['http://ui.example:80', 'http://ui.example'],
  ['https://bücher.example', 'https://xn--bcher-kva.example'],
  ['http://2130706433', 'http://127.0.0.1'],
  ['ui.example', 'https://ui.example'],
  ['ui.example:8443', 'https://ui.example:8443'],
  ['localhost:3000', 'http://localhost:3000'],
  ['tauri://localhost/', 'tauri://localhost'],
];

for (const [written, sent] of corrected) {
  test(`${written} is refused with what browsers send in its place`, () => {
    assert.throws(
      () => parseOrigin(written),
      new UnitError(`${JSON.stringify(written)} is not an origin; browsers send ${sent}`),
    );
    assert.equal(parseOrigin(sent), sent);
  });
}

test('what is no origin is refused, and what stands for many', () => {
  for (const text of [
    '',
    ' ',
    'https://',
    'https://a b',
    'https:\\\\a',
    '//ui.example',
    'file://',
    'data:x',
    'https://a, https://b',
  ]) {
    assert.throws(() => parseOrigin(text), UnitError, text);
  }
  for (const text of ['*', 'https://*.ui.example', 'http://localhost:*'])
    assert.throws(() => parseOrigin(text), /nobody knows/);
  assert.throws(() => parseOrigin('null'), /sandboxed/);
  assert.throws(() => parseOrigin(3000), UnitError);
});

test('a password in an origin is refused without being shown', () => {
  assert.throws(
    () => parseOrigin('https://me:hunter2@ui.example'),
    (error) => error instanceof UnitError && !error.message.includes('hunter2'),
  );
});

test('origins come from the environment too, and none are there by default', () => {
  assert.deepEqual(load({ yaml: guests }).cors, { origins: [] });
  const env = { OPALLAMA_CORS__ORIGINS: '[https://ui.example, "http://localhost:3000"]' };
  assert.deepEqual(load({ yaml: guests, env }).cors, { origins: ['https://ui.example', 'http://localhost:3000'] });
});
