/**
 * A small GET for what the sidecar itself asks of an upstream. Not `fetch`, whose machinery would take a fifth of the
 * process's memory for one request now and then.
 */
import { type Agent, get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';

const mostBytes = 4 * 1024 * 1024;

/**
 * @param timeoutMs for the whole exchange
 * @param agent of the URL's scheme
 * @returns the parsed body of an answer with status 200
 * @throws Error for anything else: no connection, another status, more than 4 MiB, no JSON, too late
 */
export function getJson(url: URL, timeoutMs: number, agent: Agent): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? getHttps : getHttp)(url, {
      agent,
      signal: AbortSignal.timeout(timeoutMs),
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      if (response.statusCode !== 200) request.destroy(new Error(`status ${response.statusCode}`));
      response.on('error', reject);
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > mostBytes) request.destroy(new Error(`more than ${mostBytes} bytes`));
        chunks.push(chunk);
      });
      response.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
        } catch (error) {
          reject(error);
        }
      });
    });
  });
}
