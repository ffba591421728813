/** A stand-in for Ollama whose answers last as long as the test wants them to. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { portOf } from './port-of.ts';

export interface SlowUpstream {
  readonly url: string;
  /** Answers that have begun and have no end yet. */
  readonly open: ReadonlySet<ServerResponse>;
  /** Ends every answer as Ollama does. */
  finish(): void;
  close(): void;
}

export async function startSlowUpstream(port = 0): Promise<SlowUpstream> {
  const open = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    request.resume();
    if (request.url === '/' || request.url === '/api/tags') {
      response.setHeader('content-type', 'application/json').end('{"models":[]}');
      return;
    }
    response.setHeader('content-type', 'application/x-ndjson');
    response.write('{"message":{"content":"hi"},"done":false}\n');
    open.add(response);
    response.once('close', () => open.delete(response));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    open,
    finish() {
      for (const response of open)
        response.end(
          '{"message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":1}\n',
        );
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
