/** Records on their way to real receivers: rsyslog by each transport, and OpenTelemetry's collector. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { createOtlpSink, createSyslogSink, type ShipParts } from '../../src/audit/ship/sinks.ts';
import type { SyslogTarget } from '../../src/configured/ship.ts';
import { createRing } from '../../src/management/ring.ts';
import { recordedOf, traceId } from '../audit/ship/recorded.ts';
import { makeDirectory } from '../policy/directory.ts';
import { run } from '../support/running.ts';
import { upstreamTlsOf } from '../support/tls.ts';
import { startCollector, startRsyslog, waitFor } from './receivers.ts';

const script = fileURLToPath(new URL('../../bin/opallama.js', import.meta.url));

const parts = (problems: string[]): ShipParts => ({
  createQueue: createRing,
  pauseMs: () => 50,
  events: {
    lost: (count) => problems.push(`lost ${count}`),
    failing: (error) => problems.push(String(error)),
    recovered: () => undefined,
    refused: (error) => problems.push(String(error)),
  },
});

test('rsyslog understands every message, whichever way it comes', async (t) => {
  const rsyslog = await startRsyslog(t);
  const local = { host: '127.0.0.1' } as const;
  const targets: readonly SyslogTarget[] = [
    { transport: 'tcp', ...local, port: rsyslog.tcp },
    { transport: 'tls', ...local, port: rsyslog.tls },
    { transport: 'udp', ...local, port: rsyslog.udp },
    { transport: 'unix', path: rsyslog.socket },
  ];
  for (const target of targets) {
    const problems: string[] = [];
    const sink = createSyslogSink(
      {
        target,
        url: '',
        tls: target.transport === 'tls' ? upstreamTlsOf({ ca: rsyslog.authority }) : undefined,
        facility: { name: 'local0', code: 16 },
        hostname: 'node-1',
        bufferEvents: 1000,
        allowPlain: false,
      },
      parts(problems),
    );
    const of = (number: number) =>
      recordedOf({
        request_id: `${target.transport}-${number}`,
        principal: `é "ü" <${number}>\n`,
        model: 'x'.repeat(number * 20),
      });
    // Of a burst of datagrams some are lost, and nobody hears of it.
    const amount = target.transport === 'udp' ? 20 : 150;
    const sent = Array.from({ length: amount }, (_, number) => of(number));
    for (const recorded of sent) sink.write(recorded);
    const own = await waitFor(
      () => {
        const found = rsyslog
          .received()
          .filter(({ message }) => message.includes(`"request_id":"${target.transport}-`));
        return found.length >= amount ? found : undefined;
      },
      () =>
        `${amount} by ${target.transport}, but ${rsyslog.received().length} in all; ${problems.join()} ${rsyslog.output()}`,
    );
    await sink.close();
    assert.deepEqual(problems, [], target.transport);
    assert.deepEqual(own[0]?.head, [
      '134',
      '2026-06-11T12:00:00.123Z',
      'node-1',
      'opallama',
      String(process.pid),
      'audit',
    ]);
    assert.deepEqual(
      own.map(({ message }) => JSON.parse(message)),
      sent.map(({ json }) => ({ event: 'audit', ...JSON.parse(json()) })),
      target.transport,
    );
  }
});

test('the collector takes what is sent, with its attributes, severity and trace', async (t) => {
  const collector = await startCollector(t);
  const problems: string[] = [];
  const config = {
    url: new URL(`${collector.url}/v1/logs`),
    token: undefined,
    tokenSource: undefined,
    tls: undefined,
    resource: { 'service.namespace': 'ai' },
    bufferEvents: 2000,
    timeout: 5000,
    allowPlain: false,
  };
  const sink = createOtlpSink(config, { version: '1.2.3', host: 'node-1' }, parts(problems));
  for (let number = 0; number < 1200; number += 1)
    sink.write(recordedOf({ request_id: `r-${number}`, outcome: 'error' }));
  await waitFor(
    () => (collector.output().match(/^LogRecord #/gm)?.length === 1200 ? true : undefined),
    () => `1200 records: ${problems.join()} ${collector.output().slice(-500)}`,
  );
  await sink.close();
  assert.deepEqual(problems, []);
  for (const wanted of [
    /service\.name: Str\(opallama\)/,
    /service\.namespace: Str\(ai\)/,
    /^Timestamp: 2026-06-11 12:00:00\.123 \+0000 UTC$/m,
    /^SeverityText: ERROR$/m,
    /^SeverityNumber: Error\(17\)$/m,
    /^Body: Str\(\{"event":"audit","time":/m,
    /gen_ai\.usage\.output_tokens: Int\(21\)/,
    /opallama\.duration_ms: Double\(3000\.5\)/,
    /gen_ai\.response\.finish_reasons: Slice\(\["stop"\]\)/,
    /opallama\.request_id: Str\(r-1199\)/,
    new RegExp(`^Trace ID: ${traceId}$`, 'm'),
  ])
    assert.match(collector.output(), wanted);
});

test('a sidecar that is configured so brings its records to both, and what waits when it ends too', async (t) => {
  const rsyslog = await startRsyslog(t);
  const collector = await startCollector(t);
  const directory = await makeDirectory(t, {
    'policy/authz.rego': 'package ollama.authz\n\ndefault allow := false\n',
    'opallama.yaml': `listen: { data: 127.0.0.1:0, ops: 127.0.0.1:0 }
upstream: { base_url: http://127.0.0.1:9 }
policy: { path: policy }
identity: { anonymous: { roles: [guest] } }
audit:
  syslog: { url: "tls://127.0.0.1:${rsyslog.tls}", tls: { ca_file: "${rsyslog.caFile}" } }
  otlp: { url: "${collector.url}" }
shutdown: { delay: 0s }
`,
  });
  const running = run(process.execPath, [script, 'serve', '--config', join(directory, 'opallama.yaml')], {
    env: { OLLAMA_HOST: undefined, OLLAMA_BASE_URL: undefined },
  });
  t.after(() => running.stop());
  const [line] = await running.waitFor(/^.*"listener":"data".*$/m);
  const { port }: { port: number } = JSON.parse(line);
  const ids = Array.from({ length: 20 }, (_, number) => `request-${number}`);
  for (const id of ids) {
    const answer = await fetch(`http://127.0.0.1:${port}/api/version`, { headers: { 'x-request-id': id } });
    assert.equal(answer.status, 403, await answer.text());
  }
  assert.equal(await running.stop(), 0, running.stderr());
  const all = (texts: () => string) => (): true | undefined =>
    ids.every((id) => texts().includes(`"${id}"`)) ? true : undefined;
  await waitFor(
    all(() =>
      rsyslog
        .received()
        .map(({ message }) => message)
        .join('\n'),
    ),
    () => `all at rsyslog: ${running.stderr()}`,
  );
  await waitFor(all(collector.output), () => `all at the collector: ${running.stderr()}`);
});
