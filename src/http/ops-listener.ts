/** Health, readiness and metrics. Changes nothing and shows no request. */
import { createServer, type Server } from 'node:http';

import express from 'express';

export interface OpsListenerOptions {
  /** In the format that who asks takes. */
  readonly metrics: (accept: string | undefined) => Promise<{ readonly type: string; readonly text: string }>;
  /** What keeps the sidecar from being ready, in words; empty where it is. */
  readonly notReady: () => readonly string[];
  /** More than that, for `/readyz?verbose`: lines. */
  readonly details: () => readonly string[];
}

export function createOpsListener(options: OpsListenerOptions): Server {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.get('/healthz', (_request, response) => {
    response.type('text/plain').send('ok\n');
  });
  app.get('/readyz', (request, response) => {
    const reasons = options.notReady();
    const lines = reasons.length === 0 ? ['ready'] : reasons;
    const more = request.query['verbose'] === undefined ? [] : options.details();
    response
      .status(reasons.length === 0 ? 200 : 503)
      .type('text/plain')
      .send(`${[...lines, ...more].join('\n')}\n`);
  });
  app.get('/metrics', async (request, response) => {
    const { type, text } = await options.metrics(request.headers.accept);
    // As bytes, because Express writes content types of texts anew.
    response.set({ 'content-type': type, vary: 'accept' }).send(Buffer.from(text));
  });
  app.use((_request, response) => {
    response.status(404).type('text/plain').send('The ops port has /metrics, /healthz and /readyz.\n');
  });
  return createServer(app);
}
