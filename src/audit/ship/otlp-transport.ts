/** Brings OTLP payloads to a collector over HTTP (OTLP 1.x, OTLP/HTTP). */
import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { OtlpConfig } from '../../configured/ship.ts';
import { postJson } from '../../post-json.ts';
import { readCertificates, readToken } from '../../service-credentials.ts';
import { NotDelivered } from './shipper.ts';

const compress = promisify(gzip);
/** What a collector says of records that it did not take is short. */
const mostAnswered = 64 * 1024;
/** OTLP, retryable response codes; and what an operator mends without a restart. */
const passing: ReadonlySet<number> = new Set([401, 403, 408, 429, 502, 503, 504]);

/**
 * @param payload JSON
 * @throws NotDelivered (rejects) for what the collector will never take; another error for what may be taken later
 */
export async function postOtlp(
  config: OtlpConfig,
  payload: string,
  records: number,
  signal: AbortSignal,
): Promise<void> {
  const { url, timeout } = config;
  const body = await compress(payload);
  const token = await readToken(config);
  const tls = config.tls && (await readCertificates(config.tls));
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeout)]);
  return await postJson(url, { body, gzipped: true, token, tls, signal: limit }, async (answer) => {
    const { statusCode: status = 0 } = answer;
    if (status >= 200 && status < 300) return checkTaken(await readText(answer), records);
    const message = `${url.origin} answered ${status}`;
    throw passing.has(status) ? new Error(message) : new NotDelivered(message);
  });
}

/** A partial success is a success: sending the batch again would bring twice what was taken. */
function checkTaken(text: string, records: number): void {
  const rejected = readRejected(text);
  if (rejected > 0)
    throw new NotDelivered(`the collector did not take ${rejected} records`, Math.min(rejected, records));
}

function readRejected(text: string): number {
  try {
    const document: unknown = JSON.parse(text);
    const partial = memberOf(document, 'partialSuccess');
    const count = Number(memberOf(partial, 'rejectedLogRecords') ?? 0);
    return Number.isSafeInteger(count) && count > 0 ? count : 0;
  } catch {
    return 0;
  }
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

async function readText(answer: IncomingMessage): Promise<string> {
  let text = '';
  answer.setEncoding('utf8');
  for await (const part of answer) {
    text += String(part);
    if (text.length > mostAnswered) break;
  }
  return text;
}
