/** Whether the upstream answers, looked at from time to time, for a readiness that depends on it. */
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';

import type { UpstreamAgent } from './agent.ts';

export interface UpstreamHealth {
  /** Why the upstream can't be used, in words; undefined where it answers. */
  fault(): string | undefined;
  close(): void;
}

export interface UpstreamHealthOptions {
  readonly baseUrl: URL;
  readonly agent: UpstreamAgent;
  readonly everyMs: number;
}

const timeoutMs = 2000;

/** Looks at once and then `everyMs` after each look. Until the first has ended the upstream counts as away. */
export function watchUpstream({ baseUrl, agent, everyMs }: UpstreamHealthOptions): UpstreamHealth {
  let fault: string | undefined = 'it was not asked yet';
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;
  void look();

  return {
    fault: () => (fault === undefined ? undefined : `no answer from ${baseUrl.origin}: ${fault}`),
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };

  async function look(): Promise<void> {
    fault = await ask(baseUrl, agent);
    if (!isClosed) timer = setTimeout(() => void look(), everyMs).unref();
  }
}

/** Every server has this path, and Ollama answers it without a look at its models. @returns what is wrong */
function ask(baseUrl: URL, agent: UpstreamAgent): Promise<string | undefined> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const request = (baseUrl.protocol === 'https:' ? getHttps : getHttp)(baseUrl, { agent: agent.current(), signal });
    request.on('error', (error: NodeJS.ErrnoException) => {
      resolve(signal.aborted ? `none within ${timeoutMs} ms` : (error.code ?? error.message));
    });
    request.on('response', (response) => {
      response.on('error', () => {});
      response.resume();
      const { statusCode = 500 } = response;
      resolve(statusCode < 500 ? undefined : `status ${statusCode}`);
    });
  });
}
