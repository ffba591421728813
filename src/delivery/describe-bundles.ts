/** What decides and what does not, as OPA's status API is told. */

import type { PolicyConfig } from '../configured/policy.ts';
import { PolicyError, type PolicyFault } from '../errors.ts';
import type { BundleFault, BundleStatus } from '../management/status-document.ts';
import { writeTime } from '../management/status-document.ts';
import { DownloadError } from '../policy/download.ts';
import type { MirrorFacts } from '../policy/mirror.ts';
import type { LivePolicy } from './live-policy.ts';

/** By which name a policy's bundle is known to the control plane. */
export function bundleNameOf({ name, bundle }: PolicyConfig): string {
  return bundle?.name ?? name;
}

export function describeBundles(policy: LivePolicy): Readonly<Record<string, BundleStatus>> {
  const refused = policy.refused();
  return Object.fromEntries(
    policy.lineages().map(({ config, deciding: { loaded, loadedAtMs, origin } }) => {
      const name = bundleNameOf(config);
      const active = origin === 'none' ? undefined : { revision: loaded.revision, sinceMs: loadedAtMs };
      return [name, describeBundle(name, active, policy.download(config.name), refused.get(config.name)?.error)];
    }),
  );
}

/**
 * @param active what decides
 * @param facts undefined where it comes from no server
 * @param error why what came last was not taken
 */
export function describeBundle(
  name: string,
  active: { readonly revision: string; readonly sinceMs: number } | undefined,
  facts: MirrorFacts | undefined,
  error: unknown,
): BundleStatus {
  return {
    name,
    active_revision: active?.revision,
    last_successful_activation: writeTime(active?.sinceMs),
    type: facts?.lastDownloadMs === undefined ? undefined : 'snapshot',
    size: facts?.size,
    last_successful_download: writeTime(facts?.lastDownloadMs),
    last_successful_request: writeTime(facts?.lastSuccessfulRequestMs),
    last_request: writeTime(facts?.lastRequestMs),
    ...describeFailure(error),
  };
}

function describeFailure(error: unknown): Partial<BundleStatus> {
  if (error === undefined) return {};
  const message = error instanceof Error ? error.message : String(error);
  const faults = error instanceof PolicyError ? error.faults : [];
  return {
    code: 'bundle_error',
    message: message.split('\n', 1)[0] ?? '',
    errors: faults.length === 0 ? undefined : faults.map(describeFault),
    http_code: error instanceof DownloadError ? error.status : undefined,
  };
}

function describeFault({ code, message, file, row, column }: PolicyFault): BundleFault {
  return { code, message, location: { file: file ?? '', row: row ?? 0, col: column ?? 0 } };
}
