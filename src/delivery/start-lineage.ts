/** The part of the composition root that begins with a policy at a start: with what is configured, and with what an earlier run left. */

import type { PolicyConfig } from '../configured/policy.ts';
import { PolicyError } from '../errors.ts';
import { findKept } from '../policy/kept.ts';
import { findKeptRevision, type KeptLineage, readLineage } from '../policy/kept-lineage.ts';
import type { PolicyMember } from './active-policy.ts';
import { createLineage, type Lineage } from './lineage.ts';
import { loadMember, type Sources } from './load-member.ts';
import { type LoadedSource, loadFirst } from './policy-source.ts';

export interface StartedLineage {
  readonly lineage: Lineage;
  /** What was configured, where it was loaded. */
  readonly configured?: LoadedSource;
  /** Why what decides is not what is configured, where nobody wanted it so. */
  readonly failure?: unknown;
  /** What an earlier run left and could not be taken up again. */
  readonly loss?: unknown;
  /** Since when a change waits, Unix time. */
  readonly waitingSinceMs?: number | undefined;
  /** Loads what there is to go back to beside what decides. Never rejects. @returns what could not be loaded */
  restoreOthers(sources: Sources): Promise<readonly unknown[]>;
}

/**
 * Who rolled back before the restart has rolled back behind it too: what is configured is then not loaded. Where nobody can
 * tell whether somebody had, what decided last goes on deciding as if he had: it did no harm until now, and what is
 * configured may be what somebody wanted to be rid of.
 *
 * @param mirrored as of `loadFirst`
 * @param onError as of `createLineage`
 * @throws PolicyError where there is nothing to begin with
 */
export async function startLineage(
  config: PolicyConfig,
  all: readonly PolicyConfig[],
  sources: Sources,
  mirrored: unknown,
  onError: (error: unknown) => void,
): Promise<StartedLineage> {
  let kept: KeptLineage | undefined;
  let loss: unknown;
  try {
    kept = await readLineage(config);
    if (kept?.heldSinceMs !== undefined) {
      const deciding = await loadRevision(config, all, kept, kept.deciding, sources);
      const lineage = createLineage(deciding, onError, kept.heldSinceMs);
      return { lineage, waitingSinceMs: kept.waitingSinceMs, restoreOthers: restorer(lineage, kept, all) };
    }
  } catch (error) {
    loss = error;
    const deciding = await tryToLoadKept(config, all, sources);
    if (deciding !== undefined) {
      const lineage = createLineage(deciding, onError, Date.now());
      const failure = new PolicyError(
        `${firstLine(error)} What decided last goes on deciding; opallama reload takes what is configured.`,
        [],
        { cause: error },
      );
      return { lineage, failure, restoreOthers: async () => [] };
    }
    kept = undefined;
  }
  const configured = await loadFirst(config, all, sources, mirrored);
  const { member, failure } = configured;
  const known = kept;
  if (known === undefined) {
    const lineage = createLineage(member, onError);
    return { lineage, configured, failure, loss, restoreOthers: async () => [] };
  }
  const isRolledOut = config.rollout !== undefined && member.origin === 'configured';
  if (!isRolledOut || known.deciding === member.loaded.revision) {
    const lineage = createLineage(member, onError);
    return { lineage, configured, failure, restoreOthers: restorer(lineage, known, all) };
  }
  // It was being rolled out, or it came while nobody looked: against what decided.
  let former: PolicyMember;
  try {
    former = await loadRevision(config, all, known, known.deciding, sources);
  } catch (error) {
    const lineage = createLineage(member, onError);
    return { lineage, configured, loss: error, restoreOthers: restorer(lineage, known, all) };
  }
  const lineage = createLineage(former, onError);
  lineage.take(member);
  const { candidate } = known;
  if (lineage.candidate !== undefined && candidate?.revision === member.loaded.revision)
    lineage.rollOut(candidate.percent);
  return { lineage, configured, restoreOthers: restorer(lineage, known, all) };
}

function restorer(lineage: Lineage, kept: KeptLineage, all: readonly PolicyConfig[]): StartedLineage['restoreOthers'] {
  return async (sources) => {
    const losses: unknown[] = [];
    const members: PolicyMember[] = [];
    const { config } = lineage;
    for (const { revision } of kept.revisions) {
      if (lineage.revisions.some(({ loaded }) => loaded.revision === revision)) continue;
      if (lineage.revisions.length + members.length >= config.keepRevisions) break;
      try {
        members.push(await loadRevision(config, all, kept, revision, sources));
      } catch (error) {
        losses.push(error);
      }
    }
    lineage.adopt(
      members,
      kept.revisions.map(({ revision }) => revision),
    );
    return losses;
  };
}

async function loadRevision(
  config: PolicyConfig,
  all: readonly PolicyConfig[],
  { revisions }: KeptLineage,
  revision: string,
  sources: Sources,
): Promise<PolicyMember> {
  const path = await findKeptRevision(config, revision);
  const member = await loadMember(unsigned(config, path), all, sources);
  const { loadedAtMs = member.loadedAtMs, testsPassed = 0 } = revisions.find((one) => one.revision === revision) ?? {};
  return { ...member, config, loadedAtMs, prepared: { ...member.prepared, testsPassed } };
}

async function tryToLoadKept(
  config: PolicyConfig,
  all: readonly PolicyConfig[],
  sources: Sources,
): Promise<PolicyMember | undefined> {
  try {
    const kept = await findKept(config);
    if (kept === undefined) return undefined;
    return { ...(await loadMember(unsigned(config, kept.file), all, sources)), config, origin: 'kept' };
  } catch {
    return undefined;
  }
}

/** What is kept was verified before it was. */
function unsigned(config: PolicyConfig, path: string): PolicyConfig {
  return { ...config, path, signature: undefined };
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}
