/** What the log and the metrics are told of the policies that decide. */

import type { LivePolicyOptions } from '../delivery/live-policy.ts';
import { logPolicy } from '../delivery/log-policy.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { createSparse } from '../telemetry/sparse.ts';
import { idsOf, type Tellable } from './user-code.ts';

type Handlers = Required<
  Pick<
    LivePolicyOptions,
    'onLoaded' | 'onWaiting' | 'onRefused' | 'onEvaluationError' | 'onNotRestored' | 'onNotKept' | 'onLost' | 'onMoved'
  >
>;

export interface PolicyTelling extends Handlers {
  close(): void;
}

export function tellOfPolicies(
  log: Logger,
  metrics: Pick<Metrics, 'policyReloaded'>,
  tellable: Tellable,
): PolicyTelling {
  // A remote engine that is away fails every request. Metrics and the audit log have each of them.
  const failures = createSparse({
    most: 10,
    perMs: 60_000,
    onLeftOut: (name, left_out) => log.error({ policy: name, left_out }, 'the policy failed to evaluate more often'),
  });
  return {
    onLoaded(member, percent) {
      metrics.policyReloaded('success');
      logPolicy(log, member);
      const facts = { policy: member.config.name, revision: member.loaded.revision, percent };
      if (percent < 100) log.info(facts, 'the revision decides for a share of the callers');
    },
    onWaiting: (name) =>
      log.warn({ policy: name }, 'the policy has changed and waits for a reload, because it was rolled back'),
    onRefused(change, { loaded, origin }) {
      metrics.policyReloaded('failure');
      const facts = { policy: change.policy, revision: loaded.revision, err: change.error };
      log.error(
        facts,
        {
          none: 'no policy can be loaded: everything is denied until there is one',
          kept: 'the policy can not be loaded: the one kept from an earlier run decides in its place',
          configured: 'the changed policy was refused, the former one goes on deciding',
        }[origin],
      );
    },
    onEvaluationError(error, asked, name) {
      if (failures.admits(name))
        log.error(
          { err: tellable.evaluation(error, name), ...idsOf(asked), policy: name },
          'the policy failed to evaluate',
        );
    },
    onNotRestored: (error, name) =>
      log.error({ err: error, policy: name }, 'what an earlier run kept of the policy could not be taken up again'),
    onNotKept: (error, name) =>
      log.error({ err: error, policy: name }, 'the policy could not be kept for a restart: see policy.state_dir'),
    onLost: (cause, name) =>
      log.warn({ err: tellable.other(cause, name), policy: name }, 'a thread of the policy was ended and is replaced'),
    onMoved: (tookMs, name) =>
      log.warn(
        { took_ms: tookMs, policy: name },
        'the policy held the event loop up and is evaluated in threads of its own from now on',
      ),
    close: () => failures.close(),
  };
}
