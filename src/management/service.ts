/** One request to a control plane, as OPA's clients make them (OPA's docs: configuration, services). */
import type { ServiceConfig } from '../configured/management.ts';
import { postJson } from '../post-json.ts';
import { readCertificates, readToken } from '../service-credentials.ts';

/** A report that was not taken. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  /** What the server answered; undefined where it did not. */
  readonly status: number | undefined;

  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

export interface Posted {
  /** Below the service's URL, beginning with a slash. */
  readonly path: string;
  /** JSON. */
  readonly body: Uint8Array;
  readonly gzipped: boolean;
  readonly signal: AbortSignal;
}

/** @throws ServiceError for any answer but 2xx; a redirect is one: the token is for nobody else */
export async function post(service: ServiceConfig, { path, body, gzipped, signal }: Posted): Promise<void> {
  const { url, timeout } = service;
  const place = `${url.origin}${url.pathname.replace(/\/$/, '')}${path}`;
  const [token, tls] = await Promise.all([readTokenOf(service), readCertificatesOf(service)]);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeout)]);
  try {
    await postJson(place, { body, gzipped, token, tls, signal: limit }, async ({ statusCode: status = 0 }) => {
      // What it says is of no use, and may have no end.
      if (status < 200 || status > 299) throw new ServiceError(`${place} answered ${status}.`, status);
    });
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw limit.aborted && !signal.aborted
      ? new ServiceError(`${place} did not answer within ${timeout} ms.`, undefined, { cause: error })
      : new ServiceError(`${place} could not be reached${code}.`, undefined, { cause: error });
  }
}

async function readTokenOf(service: ServiceConfig): Promise<string | undefined> {
  return await readToken(service).catch((cause: unknown) => {
    throw new ServiceError(`The token of ${service.name}, ${service.tokenSource?.value}, can't be read.`, undefined, {
      cause,
    });
  });
}

async function readCertificatesOf({ name, tls }: ServiceConfig): Promise<ServiceConfig['tls']> {
  return await (tls && readCertificates(tls))?.catch((cause: unknown) => {
    const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
    throw new ServiceError(`The files of the certificates of ${name} can't be used${code}.`, undefined, { cause });
  });
}
