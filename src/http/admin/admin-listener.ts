/**
 * The listener for operators: what decides, and how that is changed. Everybody is asked for a token; web pages get nothing,
 * nor does a name that leads to the loopback (DNS rebinding). No answer shows a prompt or a credential.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

import express from 'express';
import type { AdminScope, AdminToken } from '../../configured/config.ts';
import { RequestError } from '../../errors.ts';
import { createBodyBudget } from '../../input/body.ts';
import { checkHead } from '../../input/head.ts';
import { readRequestId } from '../correlation.ts';
import { linger } from '../linger.ts';
import { createAuthenticate } from './authenticate.ts';
import type { Administration } from './contract.ts';
import { type Endpoint, findEndpoint } from './endpoints.ts';
import { readMembers } from './read-members.ts';
import { readParameters } from './read-parameters.ts';

/** A request that has been answered. What it holds comes from the configuration and from fixed sets, but for its id. */
export interface AdminAction {
  readonly requestId: string;
  /** The name of the token; undefined where there was none that is known. */
  readonly who: string | undefined;
  /** As in the table of endpoints; `other` for what is none, and for who is not known. */
  readonly endpoint: string;
  readonly status: number;
  /** Code of the error, where it was refused. */
  readonly error: string | undefined;
  /** Whether it is there to change something. */
  readonly changes: boolean;
  /** The policy that it is about; empty where it is about none. */
  readonly policy: string;
  /** What was asked for and, where it was carried out, what came of it; of what changes something. */
  readonly asked: unknown;
  readonly result: unknown;
}

export interface AdminListenerOptions {
  readonly tokens: readonly AdminToken[];
  /** This sidecar's own name in `Via`. */
  readonly pseudonym: string;
  readonly administration: Administration;
  readonly onAnswered: (action: AdminAction, remote: string | undefined) => void;
  readonly onInternalError: (error: unknown, requestId: string) => void;
}

/** All that may be held of bodies at once, and connections: there are few operators. */
const bodiesTotal = 256 * 1024;
const mostConnections = 64;

export function createAdminListener(options: AdminListenerOptions): Server {
  const authenticate = createAuthenticate(options.tokens);
  const budget = createBodyBudget(bodiesTotal);
  const headRules = { allowedOrigins: [], hosts: [], pseudonym: options.pseudonym };
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(handle);
  // A request without Host is refused below, where it is counted.
  const limits = {
    maxHeaderSize: 16 * 1024,
    headersTimeout: 5000,
    requestTimeout: 10_000,
    connectionsCheckingInterval: 1000,
    requireHostHeader: false,
  };
  const server = createServer(limits, (request, response) => {
    // Express gives up on targets that it can't parse; here they are refused as any other that is not there.
    Reflect.apply(app, undefined, [request, response, () => handle(request, response)]);
  });
  server.maxConnections = mostConnections;
  return server;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = readRequestId(request.headers);
    let done: Omit<AdminAction, 'status' | 'error'> = { ...nothingDone, requestId };
    let status = 200;
    let error: RequestError | undefined;
    let document: unknown;
    try {
      checkHead(request, headRules);
      const { name: who, scope } = authenticate(request.rawHeaders);
      done = { ...done, who };
      const [path = '', query = ''] = (request.url ?? '').split(/\?(.*)/s, 2);
      const { endpoint, name } = findEndpoint(request.method ?? '', path);
      if (!isWithin(scope, endpoint)) throw new RequestError('insufficient_scope');
      done = { ...done, endpoint: `${endpoint.method} ${endpoint.path}`, changes: endpoint.changes, policy: name };
      const isRead = endpoint.method === 'GET';
      const sent = await readMembers(request, isRead ? [] : endpoint.members, budget);
      const body = isRead ? readParameters(query, endpoint.members) : sent;
      if (endpoint.changes) done = { ...done, asked: body };
      document = await endpoint.run(options.administration, { name, body });
      if (endpoint.changes) done = { ...done, result: document };
    } catch (thrown) {
      error = nameFailure(thrown, requestId);
      ({ status } = error);
      document = { error: { code: error.code, message: error.message } };
    }
    const isCut = !request.complete;
    if (isCut) linger(request);
    answer(response, status, document, {
      'x-request-id': requestId,
      ...error?.headers,
      ...(isCut && { connection: 'close' }),
    });
    options.onAnswered({ ...done, status, error: error?.code }, request.socket.remoteAddress);
  }

  function nameFailure(thrown: unknown, requestId: string): RequestError {
    if (thrown instanceof RequestError) return thrown;
    options.onInternalError(thrown, requestId);
    return new RequestError('internal_error');
  }
}

function isWithin(scope: AdminScope, { path, changes }: Endpoint): boolean {
  if (scope === 'all') return true;
  return scope === 'drain' ? path === '/v1/drain' : !changes;
}

const nothingDone = {
  who: undefined,
  endpoint: 'other',
  changes: false,
  policy: '',
  asked: undefined,
  result: undefined,
} as const;

function answer(
  response: ServerResponse,
  status: number,
  document: unknown,
  headers: Readonly<Record<string, string>>,
): void {
  const body = Buffer.from(`${JSON.stringify(document)}\n`);
  response.writeHead(status, {
    ...headers,
    'content-type': 'application/json; charset=utf-8',
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
}
