/** Whether the upstream answers, looked at from time to time, for a readiness that depends on it. */
import { ask } from './ask.ts';
import type { Connections } from './connections.ts';

export interface UpstreamHealth {
  /** Why the upstream can't be used, in words; undefined where it answers. */
  fault(): string | undefined;
  close(): void;
}

export interface UpstreamHealthOptions {
  readonly baseUrl: URL;
  readonly connections: Connections;
  readonly everyMs: number;
}

const timeoutMs = 2000;

/** Looks at once and then `everyMs` after each look. Until the first has ended the upstream counts as away. */
export function watchUpstream({ baseUrl, connections, everyMs }: UpstreamHealthOptions): UpstreamHealth {
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
    fault = await findFault();
    if (!isClosed) timer = setTimeout(() => void look(), everyMs).unref();
  }

  /** Every server has this path, and Ollama answers it without a look at its models. */
  async function findFault(): Promise<string | undefined> {
    try {
      const { status } = await ask(connections, baseUrl.pathname, { timeoutMs });
      return status < 500 ? undefined : `status ${status}`;
    } catch (error) {
      if (!(error instanceof Error)) return String(error);
      return 'code' in error ? String(error.code) : error.message;
    }
  }
}
