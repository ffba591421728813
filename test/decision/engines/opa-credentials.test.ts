/** What a remote OPA is shown follows the files that it is kept in. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';

import { createOpaConnection } from '../../../src/decision/engines/opa-connection.ts';
import { checkMaterial } from '../../../src/tls/material.ts';
import { issue, issueAuthority } from '../../support/certificates.ts';
import { portOf } from '../../support/port-of.ts';

test('a token and a certificate that are exchanged are shown from then on, half an exchange is not, and no question fails', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-opa-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10 }));
  const authority = issueAuthority('authority');
  const own = issue({ name: { CN: 'opa' }, issuer: authority, ips: ['127.0.0.1'] });
  const clients = ['one', 'two'].map((name) => issue({ name: { CN: name }, issuer: authority }));
  // Stands in for an OPA: it says who asked.
  const server = createServer(
    { cert: own.cert, key: own.key, ca: authority.cert, requestCert: true, rejectUnauthorized: true },
    ({ socket, headers }, response) => {
      const name = socket instanceof TLSSocket ? socket.getPeerCertificate().subject.CN : undefined;
      response.end(`${name} ${headers.authorization}`);
    },
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const port = portOf(server);
  const files = { cert: join(directory, 'cert'), key: join(directory, 'key'), ca: undefined };
  const tokenFile = join(directory, 'token');
  const write = (index: number, part: 'cert' | 'key') => writeFileSync(files[part], clients[index]?.[part] ?? '');
  write(0, 'cert');
  write(0, 'key');
  writeFileSync(tokenFile, 'first\n');
  const checked = checkMaterial(
    {
      cert: Buffer.from(clients[0]?.cert ?? ''),
      key: Buffer.from(clients[0]?.key ?? ''),
      ca: Buffer.from(authority.cert),
    },
    Date.now(),
  );
  assert.ok('material' in checked);
  const connection = createOpaConnection(
    {
      url: new URL(`https://127.0.0.1:${port}`),
      socket: undefined,
      token: 'first',
      tokenSource: { member: 'token_file', value: tokenFile },
      tls: { files, material: checked.material, serverName: undefined },
      timeout: 10_000,
      circuitBreaker: { failures: 5, reset: 1000 },
      reads: undefined,
    },
    20,
  );
  t.after(() => connection.close());
  const ask = async () => (await connection.ask('/health', undefined, 10_000)).bytes.toString();
  const becomes = async (text: string) => {
    for (const deadline = Date.now() + 30_000; Date.now() < deadline; await sleep(10))
      if ((await ask()) === text) return;
    assert.fail(`${await ask()}, not ${text}`);
  };
  assert.equal(await ask(), 'one Bearer first');
  writeFileSync(tokenFile, '');
  write(1, 'cert');
  await sleep(100);
  assert.equal(await ask(), 'one Bearer first');
  write(1, 'key');
  writeFileSync(tokenFile, 'second\n');
  await becomes('two Bearer second');
  rmSync(tokenFile);
  await sleep(100);
  assert.equal(await ask(), 'two Bearer second');
});
