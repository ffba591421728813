/** An rsyslog and a collector of the test's own, on ports of the loopback. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { makeDirectory } from '../policy/directory.ts';
import { issue, issueAuthority } from '../support/certificates.ts';
import { findFreePort } from '../support/free-port.ts';
import { collectorFile, rsyslogRoot } from './prepare.ts';

interface Cleaner {
  after(end: () => unknown): void;
}

type Directory = Parameters<typeof makeDirectory>[0];

export async function waitFor<T>(read: () => T | undefined, what: () => string, ms = 60_000): Promise<T> {
  for (const until = Date.now() + ms; ; await sleep(50)) {
    const found = read();
    if (found !== undefined) return found;
    if (Date.now() > until) throw new Error(`not seen: ${what()}`);
  }
}

function startProgram(t: Cleaner, file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  return { output: () => output };
}

async function waitForPort(port: number, output: () => string): Promise<void> {
  for (const until = Date.now() + 60_000; ; await sleep(50)) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true));
      socket.once('error', () => resolve(false)).once('connect', () => socket.destroy());
    });
    if (isOpen) return;
    if (Date.now() > until) throw new Error(`nobody listens at ${port}:\n${output()}`);
  }
}

export interface SyslogMessage {
  readonly head: readonly string[];
  readonly message: string;
}

/** The receivers of one rsyslog, and what has come. */
export async function startRsyslog(t: Directory & Cleaner) {
  const authority = issueAuthority('Test authority');
  const own = issue({ name: { CN: 'logs' }, issuer: authority, ips: ['127.0.0.1'] });
  const folder = await makeDirectory(t, { 'ca.pem': authority.cert, 'cert.pem': own.cert, 'key.pem': own.key });
  const [tcp, tls, udp] = [await findFreePort(), await findFreePort(), await findFreePort()];
  const at = (name: string): string => join(folder, name);
  const lines = [
    `global(workDirectory="${folder}" maxMessageSize="64k" defaultNetstreamDriver="ossl"`,
    `  defaultNetstreamDriverCAFile="${at('ca.pem')}" defaultNetstreamDriverCertFile="${at('cert.pem')}"`,
    `  defaultNetstreamDriverKeyFile="${at('key.pem')}")`,
    'module(load="imudp")',
    'module(load="imptcp")',
    'module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")',
    'template(name="all" type="string" string="%pri% %timestamp:::date-rfc3339% %hostname% %app-name% %procid% %msgid% %msg%\\n")',
    `ruleset(name="keep") { action(type="omfile" file="${at('received')}" template="all") }`,
    `input(type="imptcp" address="127.0.0.1" port="${tcp}" ruleset="keep")`,
    `input(type="imptcp" path="${at('syslog.sock')}" ruleset="keep")`,
    `input(type="imtcp" address="127.0.0.1" port="${tls}" ruleset="keep")`,
    `input(type="imudp" address="127.0.0.1" port="${udp}" ruleset="keep")`,
    '',
  ];
  const config = await makeDirectory(t, { 'rsyslog.conf': lines.join('\n') });
  const lib = join(rsyslogRoot(), 'usr/lib/x86_64-linux-gnu');
  const { output } = startProgram(
    t,
    join(rsyslogRoot(), 'usr/sbin/rsyslogd'),
    ['-n', '-f', join(config, 'rsyslog.conf'), '-i', at('pid'), '-M', join(lib, 'rsyslog')],
    { LD_LIBRARY_PATH: lib },
  );
  for (const port of [tcp, tls]) await waitForPort(port, output);
  const received = (): readonly SyslogMessage[] => {
    const text = existsSync(at('received')) ? readFileSync(at('received'), 'utf8') : '';
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const parts = line.split(' ');
        return { head: parts.slice(0, 6), message: parts.slice(6).join(' ').trimStart() };
      });
  };
  return { tcp, tls, udp, socket: at('syslog.sock'), caFile: at('ca.pem'), authority, received, output };
}

/** @returns the URL of its endpoint, and what its exporter printed of what came */
export async function startCollector(t: Directory & Cleaner) {
  const port = await findFreePort();
  const folder = await makeDirectory(t, {
    'collector.yaml': `receivers: { otlp: { protocols: { http: { endpoint: "127.0.0.1:${port}" } } } }
exporters: { debug: { verbosity: detailed, sampling_initial: 100000 } }
service:
  telemetry: { metrics: { level: none } }
  pipelines: { logs: { receivers: [otlp], exporters: [debug] } }
`,
  });
  const { output } = startProgram(t, await collectorFile(), ['--config', `file:${join(folder, 'collector.yaml')}`]);
  await waitForPort(port, output);
  return { url: `http://127.0.0.1:${port}`, output };
}
