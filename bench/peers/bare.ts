/** What the sidecar is compared with: Express and http-proxy-middleware as their documentation shows them. */
import express from 'express';
import { createProxyMiddleware } from 'http-proxy-middleware';

import { announce } from './meter.ts';

const [, , target] = process.argv;
const app = express();
app.use(createProxyMiddleware({ target: target ?? '' }));
const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address();
  announce(typeof address === 'object' && address !== null ? address.port : 0);
});
