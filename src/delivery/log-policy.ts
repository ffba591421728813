import type { Logger } from '../telemetry/log.ts';
import type { PolicyMember } from './active-policy.ts';

/** Says what was loaded, and what about it an operator should know. */
export function logPolicy(log: Logger, { config, prepared, loaded, place }: PolicyMember): void {
  const { name, entrypoint, engine, path } = config;
  const shape = loaded.shape(entrypoint);
  const facts = { policy: name, path, engine, entrypoint, revision: loaded.revision, shape };
  const isolation = { place: place.place, reason: place.why };
  log.info({ ...facts, tests_passed: prepared.testsPassed, isolation }, 'policy loaded');
  for (const warning of prepared.warnings ?? []) log.warn({ policy: name, path }, warning);
  if (prepared.ignoredFiles.length > 0) {
    log.info({ files: prepared.ignoredFiles }, 'files that are neither Rego nor data.json or data.yaml were ignored');
  }
  const notReady = loaded.notReady?.();
  if (notReady !== undefined)
    log.warn({ policy: name, reason: notReady }, 'the engine can not decide yet: everything is denied');
  const isDenyList = shape === 'deny_list' || (shape === 'unknown' && config.mode === 'deny_list');
  if (isDenyList) {
    log.warn(
      { entrypoint, allowed_by_name: config.denyListOperations },
      'the policy is a deny-list: what no rule denies is allowed, but for management operations and cloud models',
    );
  } else if (shape === 'unknown') {
    log.warn(
      { entrypoint },
      'the shape of the policy is not known: it must say allow. Set policy.mode: deny_list if it is a deny-list',
    );
  }
}
