/** What a worker makes of what it is told to begin with. */
import { type Prepared, prepareServing } from '../../composition/serving.ts';
import { giveMemoryBack } from '../../give-back.ts';
import { createLogger, type Logger } from '../../telemetry/log.ts';
import { tellOfPolicies } from '../../telling/policies.ts';
import { tellOfShadow } from '../../telling/shadow.ts';
import { createTellable } from '../../telling/user-code.ts';
import type { Start } from '../messages.ts';
import { shareLimits } from '../share.ts';
import { loadRecorded } from '../sources.ts';
import { createOutbox, type Outbox, type OutboxOptions } from './outbox.ts';
import { createReplica, type Replica } from './replica.ts';

export interface Begun {
  readonly log: Logger;
  readonly outbox: Outbox;
  readonly replica: Replica;
  readonly prepared: Prepared;
}

/** @throws ConfigError for a file that can't be used */
export async function begin(start: Start, send: OutboxOptions['send']): Promise<Begun> {
  const config = shareLimits(loadRecorded(start.sources), start.count);
  giveMemoryBack();
  const outbox = createOutbox({ file: config.audit.file, auditFails: start.auditFails, send });
  const log = createLogger(config.log.level, { output: { write: outbox.log }, base: { worker: start.number } });
  log.level = start.logLevel;
  const metrics = createCounting(outbox);
  const tellable = createTellable(config);
  const telling = tellOfPolicies(log, { policyReloaded() {} }, tellable);
  const shadowTelling =
    config.shadow &&
    tellOfShadow(config.shadow, { log, tellable, onEvent: undefined, metrics: { shadowDecided() {} } });
  const replica = createReplica(config, {
    policies: telling,
    shadow: shadowTelling && {
      onEvaluationError: shadowTelling.onEvaluationError,
      onResult: (result) => outbox.count(['shadowDecided', result]),
      onDisagreement: outbox.disagree,
    },
  });
  const prepared = await prepareServing(config, { log, metrics, extraHeaders: {}, pseudonym: start.pseudonym });
  return { log, outbox, replica, prepared };
}

/** What is counted where a request is served is counted by the primary. */
function createCounting(outbox: Outbox): Parameters<typeof prepareServing>[1]['metrics'] {
  return {
    auditFailed: (sink, events = 1) => outbox.count(['auditFailed', sink, events]),
    handshakeFailed: (reason) => outbox.count(['handshakeFailed', reason]),
    tlsReloaded: (connection, result) => outbox.count(['tlsReloaded', connection, result]),
    identityReloaded: (source, issuer, result) => outbox.count(['identityReloaded', source, issuer, result]),
  };
}
