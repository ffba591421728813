/** One question to a bundle server, as OPA's bundle API has it (OPA's docs: management API, bundles). */
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { BundleConfig } from '../configured/policy.ts';
import type { UpstreamTls } from '../configured/tls.ts';
import { PolicyError } from '../errors.ts';
import { readParts, readToken } from '../service-credentials.ts';

export interface Downloaded {
  /** Undefined where it has not changed. */
  readonly bytes: Buffer | undefined;
  readonly etag: string | undefined;
  /** The server holds the answer back until there is something new, where that was asked for. */
  readonly longPolls: boolean;
}

export interface DownloadOptions {
  /** Of what is there. */
  readonly etag: string | undefined;
  /** Whether the server may send what changed in the place of all of it. */
  readonly deltas?: boolean;
  /** How long the server may hold the answer back, ms; 0 for not at all. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** What the server answered, where that is why there is no bundle. */
export class DownloadError extends PolicyError {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

const mostRedirects = 3;

/** @throws PolicyError for anything that is neither a bundle nor "not modified"; never says what the token is */
export async function downloadBundle(config: BundleConfig, options: DownloadOptions): Promise<Downloaded> {
  if (!/^https?:$/.test(config.url.protocol))
    throw new PolicyError(
      `Nobody has said yet which service has the bundle ${config.name ?? ''}: discovery is to name it.`,
    );
  let url = config.url;
  for (let redirects = 0; redirects <= mostRedirects; redirects += 1) {
    const result = await ask(url, config, options);
    if (!('location' in result)) return result;
    const next = URL.canParse(result.location, url) ? new URL(result.location, url) : undefined;
    // Elsewhere is nobody that was chosen, and the token is for nobody else.
    if (next?.origin !== config.url.origin) throw fault(config, 'leads to another host, which is not followed');
    url = next;
  }
  throw fault(config, 'leads round in circles');
}

function fault({ url }: BundleConfig, what: string, cause?: unknown): PolicyError {
  return new PolicyError(`The bundle server at ${url.origin}${url.pathname} ${what}.`, [], { cause });
}

async function ask(
  url: URL,
  config: BundleConfig,
  { etag, deltas = false, waitMs, signal }: DownloadOptions,
): Promise<Downloaded | { readonly location: string }> {
  const token = await readTokenOf(config);
  const secureContext = config.tls && (await readCertificatesOf(config, config.tls));
  const limit = AbortSignal.any([signal, AbortSignal.timeout(config.timeout + waitMs)]);
  const seconds = Math.ceil(waitMs / 1000);
  const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
    // Rare requests: a connection that was kept would be a dead one.
    agent: false,
    signal: limit,
    headers: {
      accept: 'application/vnd.openpolicyagent.bundles, application/gzip, application/octet-stream',
      prefer: `modes=snapshot${deltas ? ',delta' : ''}${seconds > 0 ? `;wait=${seconds}` : ''}`,
      'user-agent': 'opallama',
      ...(etag !== undefined && { 'if-none-match': etag }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(secureContext && { secureContext }),
    ...(config.tls?.serverName !== undefined && { servername: config.tls.serverName }),
  });
  // What comes behind the first one says nothing more.
  request.on('error', () => {});
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve).once('error', reject).end();
    });
    const { statusCode: status = 0, headers } = answer;
    const longPolls = headers['content-type'] === 'application/vnd.openpolicyagent.bundles';
    if (status === 304 && etag !== undefined) return { bytes: undefined, etag: headers.etag ?? etag, longPolls };
    if ([301, 302, 303, 307, 308].includes(status) && headers.location !== undefined)
      return { location: headers.location };
    if (status !== 200) throw new DownloadError(fault(config, `answered ${status}`).message, status);
    return { bytes: await readBody(answer, config), etag: headers.etag, longPolls };
  } catch (error) {
    if (error instanceof PolicyError || signal.aborted) throw error;
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw limit.aborted
      ? fault(config, `did not answer within ${config.timeout + waitMs} ms`, error)
      : fault(config, `could not be reached${code}`, error);
  } finally {
    request.destroy();
  }
}

async function readBody(answer: IncomingMessage, config: BundleConfig): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > config.size)
      throw fault(
        config,
        `sent more than ${config.size} bytes; see ${config.name === undefined ? 'policy.bundle.size' : 'management'}`,
      );
    chunks.push(chunk);
  }
  // Node ends a body that was cut short by an error only where its length was said.
  if (!answer.complete) throw fault(config, 'sent half a bundle');
  return Buffer.concat(chunks);
}

async function readTokenOf(config: BundleConfig): Promise<string | undefined> {
  return await readToken(config).catch((cause: unknown) => {
    throw fault(config, `needs a token, and ${config.tokenSource?.value} can't be read`, cause);
  });
}

async function readCertificatesOf(config: BundleConfig, tls: UpstreamTls): Promise<SecureContext> {
  try {
    return createSecureContext(await readParts(tls));
  } catch (cause) {
    // Also while one of two files is new already: it is asked again.
    const why = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
    throw fault(config, `needs certificates, and the files of policy.bundle.tls can't be used${why}`, cause);
  }
}
