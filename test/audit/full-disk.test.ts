/** A disk that is really full: a small file system in a mount namespace of the sidecar's own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { listFiles } from '../../src/audit/file/requests.ts';
import { verifyLog } from '../../src/audit/file/verify.ts';
import { run } from '../support/running.ts';

const canMount = spawnSync('unshare', ['-Urm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;

test('strict: while the disk is full nothing is forwarded, and once there is room it goes on', {
  skip: canMount ? false : 'no file system can be mounted here: needs unshare and user namespaces',
}, async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'opallama-full-'));
  t.after(() => rmSync(place, { recursive: true, maxRetries: 10, force: true }));
  const disk = join(place, 'disk');
  mkdirSync(disk);
  mkdirSync(join(place, 'policies'));
  writeFileSync(join(place, 'policies', 'authz.rego'), 'package ollama.authz\nallow := true\n');
  let forwarded = 0;
  const upstream = createServer((request, response) => {
    if (request.headers['x-request-id'] === 'asked') forwarded += 1;
    response.setHeader('content-type', 'application/json').end('{"models":[]}');
  });
  await once(upstream.listen(0, '127.0.0.1'), 'listening');
  t.after(() => upstream.close().closeAllConnections());
  writeFileSync(
    join(place, 'opallama.yaml'),
    [
      'listen: { data: 127.0.0.1:0, ops: 127.0.0.1:0 }',
      `upstream: { base_url: http://127.0.0.1:${(upstream.address() as AddressInfo).port} }`,
      'policy: { path: policies }',
      'identity: { anonymous: { roles: [guest] } }',
      `audit: { stdout: false, file: ${disk}/audit.jsonl, durability: strict }`,
      'shutdown: { delay: 0s }',
    ].join('\n'),
  );
  const script = `mount -t tmpfs -o size=256k tmpfs ${disk} && head -c 196608 /dev/zero > ${disk}/filler && exec "$@"`;
  const serve = [process.execPath, 'bin/opallama.js', 'serve', '--config', join(place, 'opallama.yaml')];
  const sidecar = run('unshare', ['-Urm', 'sh', '-c', script, 'sh', ...serve]);
  t.after(() => sidecar.process.kill('SIGKILL'));
  const [, data] = await sidecar.waitFor(/"listener":"data".*?"port":(\d+)/);
  const [, ops] = await sidecar.waitFor(/"listener":"ops".*?"port":(\d+)/);
  const ask = async (): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${data}/api/tags`, { headers: { 'x-request-id': 'asked' } });
    await answer.arrayBuffer();
    return answer.headers.get('x-opallama-reason') ?? String(answer.status);
  };

  let answered = 0;
  let last = await ask();
  for (; last === '200' && answered < 500; last = await ask()) answered += 1;
  assert.equal(last, 'audit_unavailable');
  assert.ok(answered > 10);
  for (let at = 0; at < 20; at += 1) assert.equal(await ask(), 'audit_unavailable');
  assert.equal(forwarded, answered);
  const ready = await fetch(`http://127.0.0.1:${ops}/readyz?verbose`);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /the audit file can not be written/);
  assert.match(await (await fetch(`http://127.0.0.1:${ops}/metrics`)).text(), /^opallama_audit_file_failing 1$/m);

  const seen = `/proc/${sidecar.process.pid}/root${disk}`;
  rmSync(join(seen, 'filler'));
  for (const deadline = Date.now() + 30_000; last !== '200' && Date.now() < deadline; ) {
    await sleep(50);
    last = await ask();
  }
  assert.equal(last, '200');
  await sidecar.waitFor(/the audit file can be written again/);
  // Those that were refused have their line too.
  const wanted = 2 * answered + 20;
  let [found, lines]: [readonly unknown[], number] = [[], 0];
  for (const deadline = Date.now() + 30_000; lines < wanted && Date.now() < deadline; await sleep(50)) {
    const copy = join(place, `copy ${Date.now()}`);
    cpSync(seen, copy, { recursive: true, filter: (source) => !source.endsWith('.lock') });
    const files = listFiles(join(copy, 'audit.jsonl'));
    const log = await verifyLog({ files, key: undefined, heads: undefined, allowOtherChains: false });
    [found, lines] = [log.findings, log.lines];
  }
  assert.deepEqual(found, []);
  assert.ok(lines >= wanted, `${lines} lines of ${answered} requests`);
  await sidecar.stop();
});
