import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environment } from '../../src/config/environment.ts';

test('the environment is that of the process, and its files are those of the machine', () => {
  const { env, cwd, readFile } = environment();
  assert.equal(env['PATH'], process.env['PATH']);
  assert.equal(cwd, process.cwd());
  assert.deepEqual(Buffer.from(readFile(import.meta.filename)).subarray(0, 6), Buffer.from('import'));
  assert.throws(() => readFile(`${import.meta.filename}.missing`), { code: 'ENOENT' });
});
