/** A stand-in for Ollama that answers whatever it is asked in the same way: enough where only the decision is looked at. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { TestContext } from 'node:test';
import { portOf } from './port-of.ts';

const answer = '{"done":true,"prompt_eval_count":1,"eval_count":1}';

/** @returns its URL; it is closed with the test */
export async function startAnsweringUpstream(t: Pick<TestContext, 'after'>): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length }).end(answer);
  }).listen(0, '127.0.0.1');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  const port = portOf(server);
  return `http://127.0.0.1:${port}`;
}
