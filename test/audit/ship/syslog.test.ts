/** Syslog: messages as RFC 5424 has them, and their way to receivers of the test's own (real ones: npm run test:shipping). */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';

import { NotDelivered } from '../../../src/audit/ship/shipper.ts';
import { formatSyslog, frameSyslog, syslogName } from '../../../src/audit/ship/syslog-message.ts';
import { createSyslogTransport } from '../../../src/audit/ship/syslog-transport.ts';
import { makeDirectory } from '../../policy/directory.ts';
import { issue, issueAuthority } from '../../support/certificates.ts';
import { upstreamTlsOf } from '../../support/tls.ts';
import { adminRecorded, recordedOf } from './recorded.ts';

const header = { facility: 16, hostname: 'node-1', processId: 7 };
const signal = new AbortController().signal;

test('a record is one message, its JSON behind the header', () => {
  const text = formatSyslog(recordedOf(), header).toString();
  const [, head, json] = /^(.*?) - (\{.*)$/.exec(text) ?? [];
  assert.equal(head, '<134>1 2026-06-11T12:00:00.123Z node-1 opallama 7 audit');
  const event = JSON.parse(json ?? '');
  assert.deepEqual([event.event, event.request_id, event.principal], ['audit', 'r-1', 'alice']);
});

test('the severity is that of the outcome', () => {
  const priority = (over: Parameters<typeof recordedOf>[0]) =>
    /^<(\d+)>/.exec(formatSyslog(recordedOf(over), header).toString())?.[1];
  assert.deepEqual(
    [
      priority({ outcome: 'error' }),
      priority({ outcome: 'incomplete' }),
      priority({ outcome: 'denied' }),
      priority({ outcome: 'aborted' }),
    ],
    ['131', '132', '133', '134'],
  );
  assert.match(
    formatSyslog(adminRecorded(), header).toString(),
    /^<133>1 \S+ node-1 opallama 7 admin - \{"event":"admin"/,
  );
});

test('a name that the header can not hold is none', () => {
  assert.deepEqual(
    [syslogName('node-1'), syslogName('a b'), syslogName('é'), syslogName('')],
    ['node-1', '-', '-', '-'],
  );
});

test('frames count octets, not characters', () => {
  assert.equal(frameSyslog(Buffer.from('é\n')).toString(), '3 é\n');
});

/** Gathers what comes on all connections. */
function gather(server: Server, t: TestContext): { text(): string; connections(): number } {
  let text = '';
  let connections = 0;
  server.on('connection', (socket) => {
    connections += 1;
    socket.on('error', () => undefined);
  });
  server.on(server instanceof createTlsServer().constructor ? 'secureConnection' : 'connection', (socket) =>
    socket.on('data', (part: Buffer) => {
      text += part.toString();
    }),
  );
  t.after(() => server.close());
  return { text: () => text, connections: () => connections };
}

async function listen(server: Server, path?: string): Promise<number> {
  await new Promise<void>((resolve) =>
    path === undefined ? server.listen(0, '127.0.0.1', resolve) : server.listen(path, resolve),
  );
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function until(isSo: () => boolean): Promise<void> {
  for (const end = Date.now() + 30_000; !isSo(); await sleep(2)) assert.ok(Date.now() < end, 'in time');
}

test('over TCP and over a stream socket several messages go on one connection', async (t) => {
  const folder = await makeDirectory(t, {});
  for (const path of [undefined, join(folder, 'syslog.sock')]) {
    const server = createServer();
    const seen = gather(server, t);
    const port = await listen(server, path);
    const transport = createSyslogTransport({
      target: path === undefined ? { transport: 'tcp', host: '127.0.0.1', port } : { transport: 'unix', path },
      tls: undefined,
    });
    await transport.send([Buffer.from('one'), Buffer.from('two')], signal);
    await transport.send([Buffer.from('three')], signal);
    await until(() => seen.text().length >= 17);
    assert.equal(seen.text(), '3 one3 two5 three');
    assert.equal(seen.connections(), 1);
    transport.close();
  }
});

test('a receiver that went is connected to again', async (t) => {
  const server = createServer();
  const seen = gather(server, t);
  let closed = 0;
  server.on('connection', (socket) => {
    socket.once('data', () => socket.end());
    socket.once('close', () => {
      closed += 1;
    });
  });
  const port = await listen(server);
  const transport = createSyslogTransport({ target: { transport: 'tcp', host: '127.0.0.1', port }, tls: undefined });
  await transport.send([Buffer.from('one')], signal);
  // Both sides have ended it by then.
  await until(() => closed === 1);
  await transport.send([Buffer.from('two')], signal);
  await until(() => seen.text().length >= 10);
  assert.equal(seen.connections(), 2);
  transport.close();
});

test('nobody there, and an end in the middle, are failures', async (t) => {
  const away = createSyslogTransport({ target: { transport: 'tcp', host: '127.0.0.1', port: 9 }, tls: undefined });
  await assert.rejects(away.send([Buffer.from('one')], signal), /ECONNREFUSED/);
  const server = createServer();
  gather(server, t);
  server.on('connection', (socket) => socket.pause());
  const port = await listen(server);
  const stuck = createSyslogTransport({ target: { transport: 'tcp', host: '127.0.0.1', port }, tls: undefined });
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  await assert.rejects(stuck.send([Buffer.alloc(20_000_000)], controller.signal), /the sidecar ends/);
});

test('over TLS the receiver is verified', async (t) => {
  const authority = issueAuthority('Test authority');
  const own = issue({ name: { CN: 'logs' }, issuer: authority, ips: ['127.0.0.1'] });
  const server = createTlsServer({ cert: own.cert, key: own.key });
  server.on('tlsClientError', () => undefined);
  const seen = gather(server, t);
  const port = await listen(server);
  const target = { transport: 'tls', host: '127.0.0.1', port } as const;
  const transport = createSyslogTransport({ target, tls: upstreamTlsOf({ ca: authority }) });
  await transport.send([Buffer.from('one')], signal);
  await until(() => seen.text() === '3 one');
  transport.close();
  const wrong = createSyslogTransport({ target, tls: upstreamTlsOf({ ca: issueAuthority('Another') }) });
  await assert.rejects(wrong.send([Buffer.from('two')], signal), /certificate/);
  const unnamed = createSyslogTransport({
    target,
    tls: upstreamTlsOf({ ca: authority }, { serverName: 'other.example' }),
  });
  await assert.rejects(unnamed.send([Buffer.from('two')], signal), /altnames|Hostname/i);
});

test('the authority that vouches for the receiver is read anew for each connection', async (t) => {
  const [former, authority] = [issueAuthority('Former'), issueAuthority('Test authority')];
  const folder = await makeDirectory(t, { 'ca.pem': former.cert });
  const own = issue({ name: { CN: 'logs' }, issuer: authority, ips: ['127.0.0.1'] });
  const server = createTlsServer({ cert: own.cert, key: own.key });
  server.on('tlsClientError', () => undefined);
  const seen = gather(server, t);
  const target = { transport: 'tls', host: '127.0.0.1', port: await listen(server) } as const;
  const files = { cert: undefined, key: undefined, ca: join(folder, 'ca.pem') };
  const transport = createSyslogTransport({ target, tls: { ...upstreamTlsOf({ ca: former }), files } });
  await assert.rejects(transport.send([Buffer.from('one')], signal), /certificate/);
  await writeFile(files.ca, 'half of a fi');
  await assert.rejects(transport.send([Buffer.from('one')], signal));
  await writeFile(files.ca, authority.cert);
  await transport.send([Buffer.from('one')], signal);
  await until(() => seen.text() === '3 one');
  transport.close();
});

test('over UDP a message is a datagram, and one that does not fit is lost', async (t) => {
  const receiver = createSocket('udp4');
  const got: string[] = [];
  receiver.on('message', (message) => got.push(message.toString()));
  await new Promise<void>((resolve) => receiver.bind(0, '127.0.0.1', resolve));
  t.after(() => receiver.close());
  const transport = createSyslogTransport({
    target: { transport: 'udp', host: '127.0.0.1', port: receiver.address().port },
    tls: undefined,
  });
  await transport.send([Buffer.from('one'), Buffer.from('two')], signal);
  await until(() => got.length === 2);
  assert.deepEqual(got, ['one', 'two']);
  await assert.rejects(
    transport.send([Buffer.alloc(70_000), Buffer.from('three')], signal),
    (error) => error instanceof NotDelivered && error.lost === 1,
  );
  await until(() => got.length === 3);
  transport.close();
});
