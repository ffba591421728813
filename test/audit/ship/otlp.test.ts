/** OTLP logs: the payload, and what becomes of a collector's answers. The collector here is a stand-in. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gunzipSync } from 'node:zlib';

import { buildOtlpPayload } from '../../../src/audit/ship/otlp-payload.ts';
import { postOtlp } from '../../../src/audit/ship/otlp-transport.ts';
import { NotDelivered } from '../../../src/audit/ship/shipper.ts';
import type { OtlpConfig } from '../../../src/configured/ship.ts';
import { makeDirectory } from '../../policy/directory.ts';
import { issue, issueAuthority } from '../../support/certificates.ts';
import { portOf } from '../../support/port-of.ts';
import { upstreamTlsOf } from '../../support/tls.ts';
import { adminRecorded, recordedOf, traceId } from './recorded.ts';

const resource = { version: '1.2.3', instance: 'i-1', host: 'node-1', more: { 'service.namespace': 'ai' } };
const signal = new AbortController().signal;

test('a payload has the resource once, and of each record what the conventions name', () => {
  const payload = JSON.parse(
    buildOtlpPayload([recordedOf({ outcome: 'error', error: 'upstream_reset' })], resource, 1_800_000_000_000),
  );
  const [{ resource: described, scopeLogs }] = payload.resourceLogs;
  assert.deepEqual(
    described.attributes.map(
      ({ key, value }: { key: string; value: { stringValue: string } }) => `${key}=${value.stringValue}`,
    ),
    [
      'service.name=opallama',
      'service.version=1.2.3',
      'service.instance.id=i-1',
      'host.name=node-1',
      'service.namespace=ai',
    ],
  );
  const [{ scope, logRecords }] = scopeLogs;
  assert.deepEqual(scope, { name: 'opallama.audit', version: '1.2.3' });
  const [{ attributes, body, ...record }] = logRecords;
  assert.deepEqual(record, {
    timeUnixNano: '1781179200123000000',
    observedTimeUnixNano: '1800000000000000000',
    severityNumber: 17,
    severityText: 'ERROR',
    eventName: 'opallama.audit',
    traceId,
  });
  assert.equal(JSON.parse(body.stringValue).decision_id, 'd-1');
  const named = new Map(attributes.map(({ key, value }: { key: string; value: object }) => [key, value]));
  assert.deepEqual(named.get('gen_ai.request.model'), { stringValue: 'tiny' });
  assert.deepEqual(named.get('gen_ai.usage.output_tokens'), { intValue: '21' });
  assert.deepEqual(named.get('gen_ai.response.finish_reasons'), { arrayValue: { values: [{ stringValue: 'stop' }] } });
  assert.deepEqual(named.get('opallama.duration_ms'), { doubleValue: 3000.5 });
  assert.deepEqual(named.get('error.type'), { stringValue: 'upstream_reset' });
  assert.equal(new Set(named.keys()).size, attributes.length, 'each once');
});

test('what is not there is left out', () => {
  const [admin, audit] = JSON.parse(
    buildOtlpPayload([adminRecorded(), recordedOf({ trace_id: undefined, model: undefined })], resource, 0),
  ).resourceLogs[0].scopeLogs[0].logRecords;
  assert.equal(admin.eventName, 'opallama.admin');
  assert.doesNotMatch(JSON.stringify([admin, audit]), /null|undefined/);
  assert.ok(!('traceId' in audit));
});

async function start(t: TestContext, answer: (response: ServerResponse, request: IncomingMessage) => void) {
  const got: { headers: IncomingMessage['headers']; body: string }[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      got.push({ headers: request.headers, body: gunzipSync(Buffer.concat(parts)).toString() });
      answer(response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const port = portOf(server);
  const config: OtlpConfig = {
    url: new URL(`http://127.0.0.1:${port}/v1/logs`),
    token: undefined,
    tokenSource: undefined,
    tls: undefined,
    resource: {},
    bufferEvents: 100,
    timeout: 30_000,
    allowPlain: false,
  };
  return { config, got };
}

test('a payload is posted as gzipped JSON, with a token that is read anew each time', async (t) => {
  const folder = await makeDirectory(t, { token: 'first-token\n' });
  const { config, got } = await start(t, (response) => response.end('{}'));
  const value = `${folder}/token`;
  await postOtlp({ ...config, token: 'old', tokenSource: { member: 'token_file', value } }, '{"a":1}', 1, signal);
  assert.deepEqual(
    [got[0]?.body, got[0]?.headers['content-type'], got[0]?.headers.authorization],
    ['{"a":1}', 'application/json', 'Bearer first-token'],
  );
  await postOtlp({ ...config, token: 'kept', tokenSource: { member: 'token_env', value: 'X' } }, '{}', 1, signal);
  assert.equal(got[1]?.headers.authorization, 'Bearer kept');
});

test('the authority that vouches for the collector is read anew for each payload', async (t) => {
  const [former, authority] = [issueAuthority('Former'), issueAuthority('Test authority')];
  const folder = await makeDirectory(t, { 'ca.pem': former.cert });
  const own = issue({ name: { CN: 'collector' }, issuer: authority, ips: ['127.0.0.1'] });
  const secured = createTlsServer({ cert: own.cert, key: own.key }, (_request, response) => response.end('{}'));
  await new Promise<void>((resolve) => secured.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    secured.closeAllConnections();
    secured.close();
  });
  const { config } = await start(t, () => undefined);
  const files = { cert: undefined, key: undefined, ca: join(folder, 'ca.pem') };
  const url = new URL(`https://127.0.0.1:${portOf(secured)}/v1/logs`);
  const shipped = { ...config, url, tls: { ...upstreamTlsOf({ ca: former }), files } };
  await assert.rejects(postOtlp(shipped, '{}', 1, signal), /certificate/);
  await writeFile(files.ca, authority.cert);
  await postOtlp(shipped, '{}', 1, signal);
});

test('a partial success is lost for as many records, and not sent again', async (t) => {
  const { config } = await start(t, (response) =>
    response.end('{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"x"}}'),
  );
  await assert.rejects(
    postOtlp(config, '{}', 10, signal),
    (error) => error instanceof NotDelivered && error.lost === 3,
  );
});

for (const [status, isFinal] of [
  [400, true],
  [404, true],
  [413, true],
  [500, true],
  [302, true],
  [401, false],
  [429, false],
  [502, false],
  [503, false],
  [504, false],
] as const) {
  test(`status ${status} is ${isFinal ? 'an end' : 'tried again'}`, async (t) => {
    const { config, got } = await start(t, (response) => response.writeHead(status, { location: '/elsewhere' }).end());
    await assert.rejects(postOtlp(config, '{}', 1, signal), (error) => error instanceof NotDelivered === isFinal);
    assert.equal(got.length, 1);
  });
}

test('a collector that is away, or says nothing, is tried again', async (t) => {
  const { config } = await start(t, () => undefined);
  await assert.rejects(
    postOtlp({ ...config, timeout: 300 }, '{}', 1, signal),
    (error) => !(error instanceof NotDelivered),
  );
  const away = { ...config, url: new URL('http://127.0.0.1:9/v1/logs') };
  await assert.rejects(postOtlp(away, '{}', 1, signal), (error) => !(error instanceof NotDelivered));
});
