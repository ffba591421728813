/** What the log and the metrics are told of keys, of those who publish them, and of secrets that were wrong. */
import type { LiveIdentityOptions } from '../identity/live-identity.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { createSparse } from '../telemetry/sparse.ts';

export interface IdentityTelling
  extends Required<Pick<LiveIdentityOptions, 'onWrongSecret' | 'onRefresh' | 'onReload'>> {
  close(): void;
}

export function tellOfIdentity(log: Logger, metrics: Pick<Metrics, 'identityReloaded'>): IdentityTelling {
  const wrongSecrets = createSparse({
    most: 10,
    perMs: 60_000,
    onLeftOut: (client, left_out) => log.warn({ client, left_out }, 'more token requests with a wrong secret'),
  });
  return {
    onWrongSecret(client) {
      if (wrongSecrets.admits(client)) log.warn({ client }, 'a token request named a client with a wrong secret');
    },
    onRefresh({ issuer, error, ...facts }) {
      metrics.identityReloaded('issuer', issuer, error === undefined ? 'success' : 'failure');
      if (error !== undefined) log.error({ issuer, err: error }, 'the keys of an issuer could not be had');
      else if (facts.added + facts.removed > 0) log.info({ issuer, ...facts }, 'an issuer has other keys');
    },
    onReload({ source, path, fault }) {
      metrics.identityReloaded(source, '', fault === undefined ? 'success' : 'failure');
      if (fault === undefined) log.info({ source, path }, 'a file of keys has changed and is in use');
      else
        log.error({ source, path, fault }, 'a file of keys has changed and can not be used: the former content stays');
    },
    close: () => wrongSecrets.close(),
  };
}
