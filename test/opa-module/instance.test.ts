/** OPA's module in this thread: built-ins by name, values without loss, and a new instance after a trap. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Worker } from 'node:worker_threads';

import { createOpaInstance, type OpaInstance } from '../../src/opa-module/instance.ts';
import { compileOpaModule, isOpaModuleBuilt } from '../../src/opa-module/module-file.ts';

const skip = isOpaModuleBuilt() ? false : 'opa/build/opa.wasm is built with Go, which is not here';
let opa: OpaInstance;
before(async () => {
  if (skip === false) opa = createOpaInstance(await compileOpaModule());
});

/** @returns the text of the value, or its outcome and message */
function call(name: string, ...args: readonly (string | Uint8Array)[]): string {
  const parts = [name, ...args].map((part) => Buffer.concat([Buffer.from(part), Buffer.of(0)]));
  const { outcome, text } = opa.callBuiltin(parts);
  const answer = Buffer.from(text).toString('utf8');
  return outcome === 'value' ? answer : [outcome, answer].join(' ').trim();
}

test('a built-in is called by its name', { skip }, () => {
  assert.equal(call('sprintf', '"%s is %05d"', '["a", 7]'), '"a is 00007"');
  assert.equal(call('regex.split', '"-+"', '"a--b-c"'), '["a","b","c"]');
});

test('sets, numbers of any size and keys that are no strings cross without loss', { skip }, () => {
  const values = [
    'null',
    'true',
    '[]',
    '{}',
    'set()',
    '{1,set(),{"a"}}',
    '[18446744073709551617,-9007199254740993,1.50,1e400]',
    '{{"a":[1]}:{2:set()}}',
    '"é😀\\u0000\\u001f\\"\\\\/"',
  ];
  for (const value of values) {
    assert.equal(call('object.get', `{"k": ${value}}`, '"k"', '"none"'), value);
  }
  assert.equal(call('object.get', '{ "k" : { 1 , 2 } }', '"k"', '"none"'), '{1,2}');
});

test('bytes that are no UTF-8 reach a built-in as they are', { skip }, () => {
  assert.equal(call('hex.encode', Uint8Array.of(0x22, 0xff, 0x00 + 0x41, 0x22)), '"ff41"');
});

test('a built-in that fails is undefined, one that halts says why', { skip }, () => {
  assert.equal(call('units.parse', '"no number"'), 'undefined');
  assert.match(call('regex.replace', '"x"', '1', '"y"'), /^undefined/);
  assert.match(call('no.such', '1'), /^halt no\.such is no built-in/);
  assert.match(call('sprintf', '"%s"', '['), /^halt sprintf: argument 2: not a value/);
});

test('a panic of a built-in is a halt, and the instance goes on', { skip }, () => {
  assert.match(call('sprintf'), /^halt sprintf panicked/);
  assert.equal(call('sprintf', '"%d"', '[1]'), '"1"');
});

test('a decision has one clock reading, and forgets what the last one kept', { skip }, () => {
  opa.beginDecision(1_750_000_000_123_456_789n);
  assert.equal(call('time.now_ns'), '1750000000123456789');
  const first = call('uuid.rfc4122', '"k"');
  assert.equal(call('uuid.rfc4122', '"k"'), first);
  opa.beginDecision(5n);
  assert.equal(call('time.now_ns'), '5');
  assert.notEqual(call('uuid.rfc4122', '"k"'), first);
});

test('the tool chain answers, and after a trap a new instance does', { skip }, async () => {
  const own = createOpaInstance(await compileOpaModule());
  const ask = () => own.serve(Buffer.from(JSON.stringify({ command: 'format', modules: { 'a.rego': 'package  a' } })));
  assert.match(ask().json, /"ok":true/);
  const deep = Buffer.from(`is_array\0${'['.repeat(20_000)}${']'.repeat(20_000)}\0`);
  assert.throws(() => own.callBuiltin([deep]), /call stack/);
  assert.match(ask().json, /"ok":true/);
});

test('a worker thread is handed the compiled module', { skip }, async () => {
  const url = JSON.stringify(new URL('../../src/opa-module/instance.ts', import.meta.url).href);
  const worker = new Worker(
    `const { workerData, parentPort } = require('node:worker_threads');
     import(${url}).then(({ createOpaInstance }) => {
       const opa = createOpaInstance(workerData);
       const { text } = opa.callBuiltin(['upper\\0', '"a"\\0'].map((part) => Buffer.from(part)));
       parentPort.postMessage(Buffer.from(text).toString());
     });`,
    { eval: true, workerData: await compileOpaModule() },
  );
  const answer = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  assert.equal(answer, '"A"');
  await worker.terminate();
});

test('no warning of Node stands on standard error', { skip }, async () => {
  const { spawnSync } = await import('node:child_process');
  const url = JSON.stringify(new URL('../../src/opa-module/', import.meta.url).href);
  const script = `
    const { createOpaInstance } = await import(${url} + 'instance.ts');
    const { compileOpaModule } = await import(${url} + 'module-file.ts');
    createOpaInstance(await compileOpaModule());`;
  const { stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.deepEqual({ stderr, status }, { stderr: '', status: 0 });
});
