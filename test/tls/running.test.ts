/** The command itself with TLS: what a signal does, and what stands in its log. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as define } from 'node:test';
import { fileURLToPath } from 'node:url';
import { patient } from '../support/at-best.ts';
import { type Issued, issue, issueAuthority } from '../support/certificates.ts';
import { run } from '../support/running.ts';
import { call } from '../support/tls.ts';

// Times are short here: what a held up process spoils is carried out anew.
const test = patient(define, 50);

const script = fileURLToPath(new URL('../../bin/opallama.js', import.meta.url));
const policies = fileURLToPath(new URL('../../policies/', import.meta.url));

test('SIGHUP takes new certificates up before the timer does, and failed handshakes do not fill the log', async (t) => {
  const [former, next] = [issueAuthority('Former'), issueAuthority('Next')] as const;
  const directory = mkdtempSync(join(tmpdir(), 'opallama-running-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10 }));
  const write = ({ cert, key }: Issued): void => {
    writeFileSync(join(directory, 'tls.crt'), cert);
    writeFileSync(join(directory, 'tls.key'), key);
  };
  write(issue({ name: { CN: 'sidecar' }, issuer: former, ips: ['127.0.0.1'] }));
  const config = join(directory, 'opallama.yaml');
  writeFileSync(
    config,
    `listen: { data: 127.0.0.1:0, ops: 127.0.0.1:0, tls: { cert_file: tls.crt, key_file: tls.key } }
upstream: { base_url: http://127.0.0.1:9 }
policy: { path: ${JSON.stringify(policies)} }
identity: { anonymous: { roles: [guest] } }
`,
  );
  const running = run(process.execPath, [script, 'serve', '--config', config], {
    env: { OLLAMA_HOST: undefined, OLLAMA_BASE_URL: undefined },
  });
  t.after(() => running.stop());
  const [line] = await running.waitFor(/^.*"listener":"data".*$/m);
  const { port, time: listening }: { port: number; time: string } = JSON.parse(line);
  const url = `https://127.0.0.1:${port}`;
  assert.equal((await call(url, { ca: former.cert })).status, 502);

  write(issue({ name: { CN: 'sidecar' }, issuer: next, ips: ['127.0.0.1'] }));
  running.process.kill('SIGHUP');
  const [renewed] = await running.waitFor(/^.*new certificates are in use.*$/m);
  const { time: inUse }: { time: string } = JSON.parse(renewed);
  const ms = Date.parse(inUse) - Date.parse(listening);
  assert.ok(ms < 4900, `${ms} ms after the start: it may have been the timer`);
  assert.equal((await call(url, { ca: next.cert })).status, 502);
  await assert.rejects(call(url, { ca: former.cert }));

  for (let tries = 0; tries < 15; tries += 1) {
    const socket = net.connect(port, '127.0.0.1').resume();
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'close');
  }
  await running.stop();
  const lines = running.stderr().split('\n');
  assert.equal(lines.filter((text) => /a TLS handshake failed/.test(text) && /plain_http/.test(text)).length, 10);
  const rest = lines.find((text) => /more TLS handshakes failed/.test(text) && /plain_http/.test(text));
  assert.match(rest ?? '', /"left_out":5/);
});
