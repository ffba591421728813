/** What decides and what does not, in lines for people: `/readyz?verbose`. */
import { formatFault, PolicyError } from './errors.ts';
import type { LivePolicy } from './live-policy.ts';

/** A line for each policy, for a rollout, for a hold, and for each change that was refused since. */
export function describeState(policy: LivePolicy): readonly string[] {
  const [refused, waiting] = [policy.refused(), policy.waiting()];
  return policy.lineages().flatMap(({ config: { name }, deciding, candidate, heldSinceMs }) => {
    const { loaded, origin } = deciding;
    const lines = [
      `${name}: revision ${loaded.revision} decides${origin === 'kept' ? ', kept from an earlier run' : ''}`,
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
    if (change === undefined) return lines;
    const summary = firstLine(change.error instanceof Error ? change.error.message : String(change.error));
    const faults = change.error instanceof PolicyError ? change.error.faults : [];
    return [
      ...lines,
      `${name}: the change of ${new Date(change.atMs).toISOString()} was refused: ${summary}`,
      ...faults.map((fault) => `  ${firstLine(formatFault(fault))}`),
    ];
  });
}

/** What follows quotes the policy, which is the log's to show. */
function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
