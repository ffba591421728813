/** Health, readiness and metrics. Changes nothing and shows no request. */
import { createServer, type Server } from 'node:http';

import express from 'express';

export interface OpsListenerOptions {
  readonly metrics: () => Promise<string>;
  readonly metricsContentType: string;
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
  app.get('/metrics', async (_request, response) => {
    response.set('content-type', options.metricsContentType).send(await options.metrics());
  });
  app.use((_request, response) => {
    response.status(404).type('text/plain').send('The ops port has /metrics, /healthz and /readyz.\n');
  });
  return createServer(app);
}
