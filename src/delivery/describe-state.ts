/** What decides and what does not, in lines for people: `/readyz?verbose`. */
import { formatFault, PolicyError } from '../errors.ts';
import type { RefusedChange } from './changes.ts';
import type { LivePolicy } from './live-policy.ts';
import type { LiveShadow } from './live-shadow.ts';

/** A line for each policy, for a rollout, for a hold, and for each change that was refused since. */
export function describeState(policy: LivePolicy): readonly string[] {
  const [refused, waiting] = [policy.refused(), policy.waiting()];
  return policy.lineages().flatMap(({ config: { name }, deciding, candidate, heldSinceMs }) => {
    const { loaded, origin } = deciding;
    const lines = [
      origin === 'none'
        ? `${name}: nothing is loaded, everything is denied`
        : `${name}: revision ${loaded.revision} decides${origin === 'kept' ? ', kept from an earlier run' : ''}`,
    ];
    if (candidate !== undefined)
      lines.push(
        `${name}: revision ${candidate.member.loaded.revision} decides for ${candidate.percent} % of the callers`,
      );
    if (heldSinceMs !== undefined) {
      const since = new Date(heldSinceMs).toISOString();
      const changed = waiting.has(name) ? '; it has changed since and waits' : '';
      lines.push(`${name}: was rolled back at ${since}, until it is told to reload${changed}`);
    }
    const change = refused.get(name);
    return change === undefined ? lines : [...lines, ...describeRefusal(change)];
  });
}

/** Lines about the policy that is asked beside those. */
export function describeShadow(shadow: LiveShadow): readonly string[] {
  const { name } = shadow.config;
  const revision = shadow.member()?.loaded.revision;
  const state = revision === undefined ? 'not loaded' : `revision ${revision}`;
  const refused = shadow.refused();
  return [`${name}: ${state}, a shadow that decides nothing`, ...(refused ? describeRefusal(refused) : [])];
}

function describeRefusal({ policy, atMs, error }: RefusedChange): readonly string[] {
  const summary = firstLine(error instanceof Error ? error.message : String(error));
  const faults = error instanceof PolicyError ? error.faults : [];
  return [
    `${policy}: the change of ${new Date(atMs).toISOString()} was refused: ${summary}`,
    ...faults.map((fault) => `  ${firstLine(formatFault(fault))}`),
  ];
}

/** What follows quotes the policy, which is the log's to show. */
function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
