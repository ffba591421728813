/** Policies that the primary has prepared, loaded where requests are decided. */

import type { Config } from '../../configured/config.ts';
import type { PolicyConfig } from '../../configured/policy.ts';
import { describeLoaded } from '../../decision/isolation/pack.ts';
import type { Shadow } from '../../decision/shadow.ts';
import { createDeciding, type PolicyMember, uniteMembers } from '../../delivery/active-policy.ts';
import { createChoice } from '../../delivery/choose-deciding.ts';
import type { Candidate } from '../../delivery/lineage.ts';
import { createAsking, type LiveShadowOptions } from '../../delivery/live-shadow.ts';
import { loadPrepared } from '../../delivery/load-member.ts';
import { nothing } from '../../delivery/policy-source.ts';
import type { ChooseDeciding } from '../../delivery/share-callers.ts';
import type { PolicyTelling } from '../../telling/policies.ts';
import type { DecidingPolicy } from '../../types.ts';
import type { Choices, LoadedOffer, Offer, Vitals } from '../messages.ts';

export interface ReplicaOptions {
  readonly policies: Pick<PolicyTelling, 'onEvaluationError' | 'onLost' | 'onMoved'>;
  readonly shadow: Pick<LiveShadowOptions, 'onResult' | 'onDisagreement' | 'onEvaluationError'> | undefined;
}

export interface Replica {
  readonly deciding: ChooseDeciding;
  readonly shadow: Shadow | undefined;
  /** @throws PolicyError */
  load(offer: Offer): Promise<LoadedOffer>;
  decide(choices: Choices): Promise<void>;
  /** Closed once nothing decides by it. */
  drop(id: number): void;
  engines(): Vitals['engines'];
  close(): Promise<void>;
}

interface Line {
  readonly config: PolicyConfig;
  deciding: PolicyMember;
  candidate: Candidate | undefined;
}

export function createReplica(config: Config, options: ReplicaOptions): Replica {
  const { onEvaluationError } = options.policies;
  const members = new Map<number, PolicyMember>();
  const dropped = new Set<number>();
  const lines = config.policies.map(
    (policy): Line => ({ config: policy, deciding: nothing(policy), candidate: undefined }),
  );
  const choice = createChoice(lines, onEvaluationError);
  let asked: DecidingPolicy | undefined;
  let askedMember: PolicyMember | undefined;
  const shadow =
    config.shadow && options.shadow && createAsking(config.shadow, { ...options.shadow, policy: () => asked });

  return {
    deciding: choice.deciding,
    shadow,
    async load({ id, policy, packed, bytes }) {
      const own = [...config.policies, ...(config.shadow ? [config.shadow] : [])].find(({ name }) => name === policy);
      if (own === undefined) throw new Error(`The configuration has no policy ${policy}.`);
      const { loaded, place } = await loadPrepared(own, packed, { bytes, ...options.policies });
      const prepared = { kind: 'bundle', testsPassed: 0, ignoredFiles: [] } as const;
      members.set(id, {
        config: own,
        prepared,
        place,
        loaded,
        replica: id,
        origin: 'configured',
        loadedAtMs: Date.now(),
      });
      return { place, facts: describeLoaded(loaded, packed.entrypoints) };
    },
    async decide(choices) {
      for (const { policy, deciding, candidate } of choices.policies) {
        const line = lines.find((one) => one.config.name === policy);
        if (line === undefined) continue;
        line.deciding = memberOf(deciding) ?? nothing(line.config);
        const member = memberOf(candidate?.id);
        line.candidate = member && candidate && { member, percent: candidate.percent };
      }
      await choice.renew();
      const next = memberOf(choices.shadow);
      if (next !== askedMember) {
        askedMember = next;
        const onError = options.shadow?.onEvaluationError ?? (() => {});
        asked = next && createDeciding(uniteMembers([next]), onError);
      }
      closeDropped();
    },
    drop(id) {
      dropped.add(id);
      closeDropped();
    },
    engines: () =>
      [...members].flatMap(([id, { loaded }]) =>
        loaded.notReady === undefined ? [] : [[id, loaded.revision, loaded.notReady()] as const],
      ),
    async close() {
      shadow?.close();
      for (const { loaded } of members.values()) await loaded.close();
    },
  };

  function memberOf(id: number | undefined): PolicyMember | undefined {
    return id === undefined ? undefined : members.get(id);
  }

  /** What decides stays until it does no more. */
  function closeDropped(): void {
    const inUse = new Set([...lines.flatMap(({ deciding, candidate }) => [deciding, candidate?.member]), askedMember]);
    for (const id of dropped) {
      const member = members.get(id);
      if (member !== undefined && inUse.has(member)) continue;
      dropped.delete(id);
      members.delete(id);
      // Not waited for: what is being evaluated by it may take its time.
      member?.loaded.close().catch((error: unknown) => onEvaluationError(error, undefined, member.config.name));
    }
  }
}
