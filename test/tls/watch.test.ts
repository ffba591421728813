/** When files of certificates are looked at, and that they are seen however they are exchanged. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TlsMaterial } from '../../src/configured/tls.ts';
import { watchCertificates } from '../../src/tls/watch.ts';
import { type Issued, issue } from '../support/certificates.ts';
import { materialOf } from '../support/tls.ts';

const until2045 = (CN: string, month: number): Issued => issue({ name: { CN }, to: new Date(Date.UTC(2045, month)) });
const [first, second, third] = [until2045('first', 0), until2045('second', 1), until2045('third', 2)] as const;

function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-watch-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10 }));
  return directory;
}

function write(directory: string, { cert, key }: Issued): void {
  writeFileSync(join(directory, 'tls.crt'), cert);
  writeFileSync(join(directory, 'tls.key'), key);
}

function watch(t: TestContext, directory: string, everyMs?: number) {
  const applied: Array<string | undefined> = [];
  const results: Array<readonly string[]> = [];
  const watching = watchCertificates(
    [
      {
        connection: 'listener',
        files: { cert: join(directory, 'tls.crt'), key: join(directory, 'tls.key'), ca: undefined },
        material: materialOf({ own: first }),
        apply: (material: TlsMaterial) => applied.push(material.subject),
      },
    ],
    (_connection, faults) => results.push(faults),
    everyMs,
  );
  t.after(() => watching.close());
  return { applied, results, watching };
}

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 30_000; !condition() && Date.now() < deadline; ) await sleep(10);
  assert.ok(condition());
}

test('the timer alone sees new files, and the expiry is then theirs', async (t) => {
  const directory = temporary(t);
  write(directory, first);
  const { applied, results, watching } = watch(t, directory, 10);
  assert.deepEqual([...watching.expiries()], [['listener', Date.UTC(2045, 0)]]);
  await sleep(60);
  assert.deepEqual(applied, []);
  write(directory, second);
  await until(() => results.length > 0);
  assert.deepEqual([applied, results], [['CN=second'], [[]]]);
  assert.deepEqual([...watching.expiries()], [['listener', Date.UTC(2045, 1)]]);
});

test('material that came from no file stays', async (t) => {
  const watching = watchCertificates(
    [
      {
        connection: 'listener',
        files: { cert: undefined, key: undefined, ca: undefined },
        material: materialOf({ own: first }),
        apply: () => assert.fail('it is replaced'),
      },
    ],
    () => assert.fail('it is looked for'),
    5,
  );
  t.after(() => watching.close());
  await watching.look();
  await sleep(30);
  assert.deepEqual([...watching.expiries()], [['listener', Date.UTC(2045, 0)]]);
});

test('a look that is asked for sees what was written before it, also while another one is under way', async (t) => {
  const directory = temporary(t);
  write(directory, first);
  const { applied, watching } = watch(t, directory, 60_000);
  write(directory, second);
  const early = watching.look();
  await sleep(30);
  write(directory, third);
  await watching.look();
  assert.equal(applied.at(-1), 'CN=third');
  await early;
});

test('it looks every 5 s', async (t) => {
  const directory = temporary(t);
  write(directory, first);
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { applied } = watch(t, directory);
  write(directory, second);
  t.mock.timers.tick(4999);
  // As long as a look takes, files that must stay the same for a while included.
  await sleep(300);
  assert.deepEqual(applied, []);
  t.mock.timers.tick(1);
  await until(() => applied.length > 0);
  assert.deepEqual(applied, ['CN=second']);
});

test('a directory that Kubernetes exchanges behind a symbolic link is seen, again and again', async (t) => {
  // What the kubelet does with a Secret: files are links into ..data, itself a link that is renamed over.
  const directory = temporary(t);
  const exchange = (name: string, issued: Issued): void => {
    mkdirSync(join(directory, name));
    write(join(directory, name), issued);
    symlinkSync(name, join(directory, '..data_tmp'));
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
  };
  exchange('..2045_01', first);
  for (const file of ['tls.crt', 'tls.key']) symlinkSync(`..data/${file}`, join(directory, file));
  const { applied, results } = watch(t, directory, 10);
  for (const [index, issued] of [second, third].entries()) {
    exchange(`..2045_02_${index}`, issued);
    rmSync(join(directory, index === 0 ? '..2045_01' : '..2045_02_0'), { recursive: true, maxRetries: 10 });
    await until(() => results.length > index);
  }
  assert.deepEqual(
    [applied, results],
    [
      ['CN=second', 'CN=third'],
      [[], []],
    ],
  );
});

test('after it was closed nothing is looked at', async (t) => {
  const directory = temporary(t);
  write(directory, first);
  const { applied, watching } = watch(t, directory, 10);
  watching.close();
  write(directory, second);
  await sleep(200);
  assert.deepEqual(applied, []);
});
