/** Writes what a restart has to know of revisions, where `policy.state_dir` is set. */
import { type KeptLineage, writeLineage } from '../policy/kept-lineage.ts';
import type { PolicyMember } from './active-policy.ts';
import type { Lineage } from './lineage.ts';
import type { LoadedSource } from './policy-source.ts';

export interface Saves {
  /** How a revision is kept, once it is among those of a lineage that is saved. */
  expect(member: PolicyMember, keep: LoadedSource['keep']): void;
  /** What an earlier run kept of it is here again: whatever else lies there is of no more use. */
  restored(lineage: Lineage): void;
  /** Ends once a restart would know of it. Never rejects. */
  save(lineage: Lineage): Promise<void>;
  /** Waits for what is being written. */
  close(): Promise<void>;
}

/**
 * Not in line with changes: a rollback is not to wait for a compiler.
 *
 * @param waiting since when a change waits, by the name of the policy
 * @param onNotKept told of what could not be written
 */
export function createSaves(
  waiting: ReadonlyMap<string, number>,
  onNotKept: (error: unknown, policy: string) => void,
): Saves {
  const keeps = new WeakMap<PolicyMember, LoadedSource['keep']>();
  const restored = new WeakSet<Lineage>();
  let last: Promise<void> = Promise.resolve();

  return {
    expect: (member, keep) => void keeps.set(member, keep),
    restored: (lineage) => void restored.add(lineage),
    save(lineage) {
      last = last.then(() => write(lineage));
      return last;
    },
    close: () => last,
  };

  async function write(lineage: Lineage): Promise<void> {
    const { config, deciding, candidate, heldSinceMs, revisions } = lineage;
    if (config.stateDir === undefined || deciding.prepared.kind === 'none' || deciding.origin === 'none') return;
    try {
      for (const member of revisions) {
        await keeps.get(member)?.();
        keeps.delete(member);
      }
      const kept: KeptLineage = {
        deciding: deciding.loaded.revision,
        candidate: candidate && { revision: candidate.member.loaded.revision, percent: candidate.percent },
        heldSinceMs,
        waitingSinceMs: waiting.get(config.name),
        revisions: revisions.map(({ loaded, loadedAtMs, prepared }) => ({
          revision: loaded.revision,
          loadedAtMs,
          testsPassed: prepared.testsPassed,
        })),
      };
      await writeLineage(config, kept, restored.has(lineage));
    } catch (error) {
      onNotKept(error, config.name);
    }
  }
}
