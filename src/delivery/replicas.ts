/** Other processes that decide by the same policies as this one, which loads none itself. Types only. */

import type { PolicyConfig } from '../configured/policy.ts';
import type { Place } from '../decision/isolation/choose.ts';
import type { PackedPolicy } from '../decision/isolation/messages.ts';
import type { LoadedPolicy } from '../types.ts';
import type { Lineage } from './lineage.ts';

/** A policy that each of them has loaded; to close it has each of them close it. It evaluates nothing here. */
export interface Replicated {
  readonly loaded: LoadedPolicy;
  readonly place: Place;
  /** By which it is known to all of them. */
  readonly replica: number;
}

export interface Replicas {
  /**
   * @param bytes of all files of the policy
   * @throws PolicyError where one of them can't load it: then none keeps it
   */
  load(config: PolicyConfig, policy: PackedPolicy, bytes: number): Promise<Replicated>;
  /** What decides from now on. Once this ends none of them decides otherwise. Never rejects. */
  decide(lineages: readonly Pick<Lineage, 'config' | 'deciding' | 'candidate'>[]): Promise<void>;
  /** The policy that is asked beside those. Never rejects. */
  askBeside(replica: number | undefined): Promise<void>;
}
