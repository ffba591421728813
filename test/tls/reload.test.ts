/** Certificates that change while the sidecar runs: new ones for new connections, and never broken ones. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { issue, issueAuthority } from '../support/certificates.ts';
import { startTestSidecar } from '../support/in-process.ts';
import { call, listenTlsOf, startTlsStandIn, upstreamTlsOf } from '../support/tls.ts';

test('new files serve new connections under load, and broken ones change nothing', async (t) => {
  const [first, second] = [issueAuthority('First'), issueAuthority('Second')];
  const [old, renewed] = [first, second].map((issuer) =>
    issue({ name: { CN: 'sidecar' }, issuer, ips: ['127.0.0.1'] }),
  );
  assert.ok(old && renewed);
  const directory = mkdtempSync(join(tmpdir(), 'opallama-tls-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10 }));
  const files = { cert: join(directory, 'tls.crt'), key: join(directory, 'tls.key'), ca: undefined };
  const caFile = join(directory, 'ca.crt');
  writeFileSync(files.cert, old.cert);
  writeFileSync(files.key, old.key);
  writeFileSync(caFile, first.cert);
  const upstream = await startTlsStandIn(t, { cert: old.cert, key: old.key });
  const sidecar = await startTestSidecar({
    upstream: upstream.url,
    upstreamTls: upstreamTlsOf({ ca: first }, { files: { cert: undefined, key: undefined, ca: caFile } }),
    tls: listenTlsOf({ own: old }, { files }),
  });
  t.after(() => sidecar.close());
  const token = sidecar.token();
  const ca = `${first.cert}${second.cert}`;

  // A certificate without its key yet.
  writeFileSync(files.cert, renewed.cert);
  await sidecar.app.reload();
  await sidecar.app.reload();
  assert.equal((await call(sidecar.url, { ca: first.cert, token })).status, 200);
  assert.match(await sidecar.metrics(), /opallama_tls_reload_total\{connection="listener",result="failure"\} 1/);

  writeFileSync(files.key, renewed.key);
  const load = Promise.all(Array.from({ length: 40 }, () => call(sidecar.url, { ca, token })));
  await sidecar.app.reload();
  assert.ok((await load).every(({ status }) => status === 200));
  assert.equal((await call(sidecar.url, { ca: second.cert, token })).status, 200);
  await assert.rejects(call(sidecar.url, { ca: first.cert, token }));

  // The upstream's authority changes: a connection that was verified by the former one is not used again.
  writeFileSync(caFile, second.cert);
  await sidecar.app.reload();
  assert.equal((await call(sidecar.url, { ca: second.cert, token })).status, 502);
  assert.match(await sidecar.metrics(), /opallama_tls_reload_total\{connection="upstream",result="success"\} 1/);
});
