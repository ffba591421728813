/**
 * Policies that the workers decide by. A change takes place in two steps: each worker loads it, and once all have, all are told
 * to decide by it. Where one can't load it none does.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import type { PackedPolicy } from '../../decision/isolation/messages.ts';
import type { PolicyMember } from '../../delivery/active-policy.ts';
import type { Replicas } from '../../delivery/replicas.ts';
import { PolicyError } from '../../errors.ts';
import type { LoadedPolicy } from '../../types.ts';
import type { Choices, LoadedOffer, Offer } from '../messages.ts';
import type { Fleet } from './fleet.ts';
import type { WorkerProcess } from './worker-process.ts';

export interface WorkersPolicies extends Replicas {
  /** Tells a worker of all there is, in the order in which it happened. Rejects where it can't load one. */
  catchUp(worker: WorkerProcess): Promise<void>;
}

/** Seconds are what 50 MB of data take. */
const loadMs = 120_000;
/** A worker that has not changed by then is ended: nobody may decide by what was replaced. */
const decideMs = 10_000;
/** For workers, where there are none. */
const waitMs = 30_000;
const lookMs = 100;

export function createReplicas(fleet: () => Fleet): WorkersPolicies {
  const offers = new Map<number, Offer>();
  let choices: Choices = { policies: [], shadow: undefined };
  let lastId = 0;

  return {
    async load({ name: policy }, packed, bytes) {
      lastId += 1;
      const id = lastId;
      let offer: Offer = { id, policy, packed: unshare(packed), bytes };
      offers.set(id, offer);
      try {
        const [first, ...others] = await findWorkers();
        if (first === undefined) throw new PolicyError('There is no worker that could load the policy.');
        const loaded = await offerTo(first, offer);
        // Of what an engine reads by itself all have what the first one read.
        if (loaded.facts.files !== undefined)
          offer = { ...offer, packed: { ...offer.packed, files: loaded.facts.files } };
        offers.set(id, offer);
        const answers = await Promise.all(others.map((worker) => offerTo(worker, offer)));
        const { revision, files } = loaded.facts;
        const other = answers.find(({ facts }) => files !== undefined && facts.revision !== revision);
        if (other !== undefined)
          throw new PolicyError(`Workers have loaded different revisions: ${revision} and ${other.facts.revision}.`);
        return { loaded: represent(id, loaded), place: loaded.place, replica: id };
      } catch (error) {
        drop(id);
        throw error;
      }
    },
    async decide(lineages) {
      choices = {
        ...choices,
        policies: lineages.map(({ config, deciding, candidate }) => ({
          policy: config.name,
          deciding: idOf(deciding),
          candidate: candidate && { id: idOf(candidate.member), percent: candidate.percent },
        })),
      };
      await tellAll();
    },
    async askBeside(shadow) {
      choices = { ...choices, shadow };
      await tellAll();
    },
    async catchUp(worker) {
      const loads = [...offers.values()].map((offer) => offerTo(worker, offer));
      const decided = worker.ask('decide', choices, loadMs);
      await Promise.all([...loads, decided]);
    },
  };

  /** Where all have ended at once their successors come within a moment. */
  async function findWorkers(): Promise<readonly WorkerProcess[]> {
    for (const endsAt = performance.now() + waitMs; performance.now() < endsAt; await sleep(lookMs))
      if (fleet().joined().length > 0) break;
    return fleet().joined();
  }

  async function tellAll(): Promise<void> {
    await Promise.all(
      fleet()
        .joined()
        .map((worker) =>
          worker.ask('decide', choices, decideMs).catch(async () => {
            worker.kill();
            await worker.gone;
          }),
        ),
    );
  }

  function drop(id: number): void {
    if (offers.delete(id)) fleet().broadcast({ kind: 'drop', id });
  }

  /** @throws PolicyError, also where the worker ends: the policy may have been to blame */
  async function offerTo(worker: WorkerProcess, offer: Offer): Promise<LoadedOffer> {
    try {
      return await worker.ask('load', offer, loadMs);
    } catch (error) {
      if (error instanceof PolicyError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new PolicyError(`A worker could not load the policy. ${why}`, [], { cause: error });
    }
  }

  /** What is known here of a policy that is loaded elsewhere. */
  function represent(id: number, { facts }: LoadedOffer): LoadedPolicy {
    const told = () =>
      fleet()
        .joined()
        .flatMap((worker) => worker.vitals()?.engines.filter(([of]) => of === id) ?? []);
    return {
      // A remote engine's may change.
      get revision() {
        return told()[0]?.[1] ?? facts.revision;
      },
      entrypoints: facts.entrypoints,
      reads: facts.reads,
      codes: facts.codes,
      deterministic: facts.deterministic,
      files: facts.files,
      shape: (entrypoint) => facts.shapes.get(entrypoint) ?? 'unknown',
      notReady() {
        const reasons = told().map(([, , reason]) => reason);
        return reasons.includes(undefined) ? undefined : reasons[0];
      },
      evaluate() {
        throw new Error('The policy decides in the workers.');
      },
      close: async () => drop(id),
    };
  }
}

function idOf({ replica, origin }: PolicyMember): number | undefined {
  return origin === 'none' ? undefined : replica;
}

/** Shared memory does not cross between processes. */
function unshare(policy: PackedPolicy): PackedPolicy {
  return {
    ...policy,
    wasm: policy.wasm?.slice(),
    dataText: policy.dataText.slice(),
    files: new Map([...policy.files].map(([name, bytes]) => [name, bytes.slice()])),
  };
}
