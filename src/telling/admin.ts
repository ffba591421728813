/** What the log, the metrics and the audit log are told of operators: who changed what; and who was not let in. */
import type { AdminAction } from '../http/admin/admin-listener.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { createSparse } from '../telemetry/sparse.ts';
import type { AdminEvent } from '../types.ts';

export interface AdminTelling {
  /** Never with what somebody presented to be let in. */
  readonly onAnswered: (action: AdminAction, remote?: string) => void;
  close(): void;
}

export function tellOfAdmin(
  log: Logger,
  metrics: Pick<Metrics, 'adminAnswered'>,
  onEvent: ((event: AdminEvent) => void) | undefined,
): AdminTelling {
  const refusals = createSparse({
    most: 10,
    perMs: 60_000,
    onLeftOut: (reason, left_out) => log.warn({ reason, left_out }, 'more requests to the admin listener were refused'),
  });
  return {
    onAnswered({ requestId: request_id, who, endpoint, policy, status, error, changes, asked, result }, remote) {
      metrics.adminAnswered(endpoint, status);
      const facts = { event: 'admin', request_id, who, endpoint, policy, status, error, remote };
      if (changes && who !== undefined) {
        const time = new Date().toISOString();
        onEvent?.({ time, request_id, who, endpoint, policy, asked, status, error, result, remote });
      }
      if (changes && error === undefined)
        log.warn(
          { ...facts, asked, result },
          policy === '' ? 'an operator changed how the sidecar runs' : 'an operator changed what decides',
        );
      else if (changes) log.warn({ ...facts, asked }, 'what an operator asked for was not done');
      else if (error !== undefined && refusals.admits(error))
        log.warn(facts, 'a request to the admin listener was refused');
    },
    close: () => refusals.close(),
  };
}
