/** Callers over TLS in every worker, and certificates that are exchanged reach each of them. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { noModule } from '../policy/toolchain-fixture.ts';
import { issue, issueAuthority } from '../support/certificates.ts';
import { call } from '../support/tls.ts';
import { startWorkers, until } from './harness.ts';

test('every worker speaks TLS, takes new certificates up, and so does one that comes later', {
  skip: noModule,
}, async (t) => {
  const [former, next] = [issueAuthority('Former'), issueAuthority('Next')] as const;
  const first = issue({ name: { CN: 'sidecar' }, issuer: former, ips: ['127.0.0.1'] });
  const second = issue({ name: { CN: 'sidecar' }, issuer: next, ips: ['127.0.0.1'] });
  const sidecar = await startWorkers(t, {
    config: {
      listen: {
        data: '127.0.0.1:0',
        ops: '127.0.0.1:0',
        admin: '127.0.0.1:0',
        tls: { cert_file: 'tls.crt', key_file: 'tls.key' },
      },
    },
    files: { 'tls.crt': first.cert, 'tls.key': first.key },
  });
  const url = sidecar.url.replace('http:', 'https:');
  const ask = async (ca: string) =>
    (await Promise.all(Array.from({ length: 6 }, () => call(url, { ca })))).map(({ status }) => status);
  // Nobody has said who calls.
  assert.deepEqual(new Set(await ask(former.cert)), new Set([401]));
  const served = await sidecar.metric(/opallama_requests_total\{.*\}/);
  assert.equal(served, 6);

  writeFileSync(join(sidecar.home, 'tls.crt'), second.cert);
  writeFileSync(join(sidecar.home, 'tls.key'), second.key);
  sidecar.running.process.kill('SIGHUP');
  const inUse = () => sidecar.running.stderr().match(/"worker":\d.*new certificates are in use/g)?.length;
  await until(() => inUse() === 2, 'new certificates in both workers');
  assert.deepEqual(new Set(await ask(next.cert)), new Set([401]));
  await assert.rejects(ask(former.cert));
  const expiry = await sidecar.metric(/opallama_tls_certificate_expiry_timestamp_seconds\{connection="listener"\}/);
  assert.ok(expiry > Date.now() / 1000);

  const [victim] = await sidecar.workers();
  process.kill(victim?.pid ?? 0, 'SIGKILL');
  await until(() => /takes the place/.test(sidecar.running.stderr()), 'a successor');
  assert.deepEqual(new Set(await ask(next.cert)), new Set([401]));
});
