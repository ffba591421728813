/** Readiness and metrics: what the event loop alone can tell. Changes nothing and shows no request. */

export interface OpsSources {
  /** In the format that who asks takes. */
  readonly metrics: (accept: string | undefined) => Promise<{ readonly type: string; readonly text: string }>;
  /** What keeps the sidecar from being ready, in words; empty where it is. */
  readonly notReady: () => readonly string[];
  /** More than that, for `/readyz?verbose`: lines. */
  readonly details: () => readonly string[];
}

export interface OpsQuestion {
  readonly method: string;
  /** Of the request's target. */
  readonly url: string;
  readonly accept: string | undefined;
}

export interface OpsAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** Rejects with what `metrics` rejects with. */
export async function answerOps({ method, url, accept }: OpsQuestion, sources: OpsSources): Promise<OpsAnswer> {
  const [path = '', query = ''] = url.split('?', 2);
  const isRead = method === 'GET' || method === 'HEAD';
  if (isRead && path === '/readyz') {
    const reasons = sources.notReady();
    const lines = reasons.length === 0 ? ['ready'] : reasons;
    const more = new URLSearchParams(query).has('verbose') ? sources.details() : [];
    return plain(reasons.length === 0 ? 200 : 503, [...lines, ...more].join('\n'));
  }
  if (isRead && path === '/metrics') {
    const { type, text } = await sources.metrics(accept);
    return { status: 200, headers: { 'content-type': type, vary: 'accept' }, text };
  }
  return plain(404, 'The ops port has /metrics, /healthz and /readyz.');
}

export function plain(status: number, text: string): OpsAnswer {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, text: `${text}\n` };
}
