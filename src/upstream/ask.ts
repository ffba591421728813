/** A small GET for what the sidecar itself asks of the upstream. */
import type { Dispatcher } from 'undici';

import type { Connections } from './connections.ts';

export interface Asked {
  readonly status: number;
  readonly body: Buffer;
}

const mostBytes = 4 * 1024 * 1024;

/**
 * @param options.timeoutMs for the whole exchange
 * @throws Error where there is no connection, a broken or late answer, or one of more than 4 MiB
 */
export function ask(connections: Connections, path: string, options: { readonly timeoutMs: number }): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    let status = 0;
    let controller: Dispatcher.DispatchController | undefined;
    let failure: Error | undefined;
    const fail = (error: Error): void => {
      clearTimeout(timer);
      failure ??= error;
      controller?.abort(failure);
      reject(failure);
    };
    const timer = setTimeout(() => fail(new Error(`none within ${options.timeoutMs} ms`)), options.timeoutMs).unref();
    connections.dispatch(
      { method: 'GET', path },
      {
        onRequestStart(started) {
          controller = started;
          if (failure !== undefined) started.abort(failure);
        },
        onResponseStart(_controller, code) {
          status = code;
        },
        onResponseData(_controller, chunk) {
          bytes += chunk.length;
          if (bytes > mostBytes) fail(new Error(`more than ${mostBytes} bytes`));
          else chunks.push(chunk);
        },
        onResponseEnd() {
          clearTimeout(timer);
          resolve({ status, body: Buffer.concat(chunks) });
        },
        onResponseError: (_controller, error) => fail(error),
      },
    );
  });
}
