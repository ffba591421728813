/** What two bundles must not both claim. */
import { PolicyError } from '../errors.ts';
import { overlaps } from '../policy/roots.ts';
import type { PolicyMember } from './active-policy.ts';

/**
 * Policies that decide together each have documents of their own, so that none can change another one's. Roots still say whose
 * a part of `data` is: a bundle that claims another one's is somebody's mistake or worse. One that claims all of `data`, as
 * every bundle does that names no roots, claims nothing of anybody.
 *
 * @param others that decide beside it
 * @throws PolicyError
 */
export function refuseSharedRoots({ config, prepared }: PolicyMember, others: readonly PolicyMember[]): void {
  for (const root of prepared.roots ?? [])
    for (const other of others) {
      const claimed = (other.prepared.roots ?? []).find((one) => one !== '' && root !== '' && overlaps(root, one));
      if (other.config.name === config.name || claimed === undefined) continue;
      const message = `the root "${root}" is in "${claimed}", which the bundle of ${other.config.name} claims`;
      throw new PolicyError('The bundle claims what another one claims.', [
        {
          code: 'shared_roots',
          message: root.length < claimed.length ? message.replace('is in', 'holds') : message,
          file: '.manifest',
          row: undefined,
          column: undefined,
        },
      ]);
    }
}
