/**
 * What the sidecar is compared with: Express and http-proxy-middleware as their documentation shows them. A second argument
 * lifts the limit of 256 connections to the upstream, past which its streams wait.
 */
import { Agent } from 'node:http';

import express from 'express';
import { createProxyMiddleware } from 'http-proxy-middleware';
import { portOf } from '../../test/support/port-of.ts';
import { announce } from './meter.ts';

const [, , target, unlimited] = process.argv;
const app = express();
const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
app.use(createProxyMiddleware({ target: target ?? '', ...(unlimited !== undefined && { agent }) }));
const server = app.listen(0, '127.0.0.1', () => {
  announce(portOf(server));
});
