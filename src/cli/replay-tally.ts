/** What a replay found, in bounded space however long the log is. */
import { type Disagreement, findDisagreement, type Told } from '../decision/disagreement.ts';
import { errorTable } from '../errors.ts';
import type { Decision } from '../types.ts';
import type { RecordedDecision } from './audit-line.ts';
import { describe, findLost } from './compare.ts';
import type { Judge } from './judge.ts';

/** Requests of one principal about one model whose decision changes in the same way. */
export interface Change {
  readonly kind: Disagreement;
  readonly principal: string | undefined;
  /** The principal with its roles, for people. */
  readonly who: string;
  readonly model: string | undefined;
  readonly operation: string | undefined;
  readonly was: Told;
  readonly now: Told;
  count: number;
  /** Of the first of them. */
  readonly first: { readonly place: string; readonly decisionId: string | undefined };
}

export interface Tally {
  readonly decisions: number;
  readonly alike: number;
  readonly changed: Readonly<Record<Disagreement, number>>;
  readonly undecidable: number;
  /** How many for the want of which member. */
  readonly lost: ReadonlyMap<string, number>;
  /** Most frequent first. */
  readonly changes: readonly Change[];
  /** Changed decisions that are in none of them. */
  readonly leftOut: number;
  /** What the first failed evaluation said, with its place. */
  readonly failure: string | undefined;
}

export interface Replay {
  add(record: RecordedDecision): Promise<void>;
  tally(): Tally;
}

/** Kinds of changes that are told apart; a log may have more callers than memory. */
const mostChanges = 10_000;

export function createReplay({ policy, deciding, decide, failure }: Judge): Replay {
  const changes = new Map<string, Change>();
  const lost = new Map<string, number>();
  const changed: Record<Disagreement, number> = { newly_denied: 0, newly_allowed: 0, other_reasons: 0, error: 0 };
  let [decisions, alike, undecidable, leftOut] = [0, 0, 0, 0];
  let failed: string | undefined;

  return {
    async add({ given, told, decisionId, atMs }) {
      decisions += 1;
      const nowNs = given.input.now_ns ?? (atMs === undefined ? undefined : atMs * 1e6);
      const members = [
        ...findLost(given, [policy.reads]),
        ...(nowNs === undefined && (policy.reads.all || policy.reads.members.has('now_ns')) ? ['now_ns'] : []),
      ];
      if (members.length > 0) {
        undecidable += 1;
        for (const member of members) lost.set(member, (lost.get(member) ?? 0) + 1);
        return;
      }
      const decision = await decide({ ...given.input, now_ns: nowNs ?? Date.now() * 1e6 });
      if (decision.result === 'error') failed ??= `${given.place}: ${failure() ?? decision.reasons[0]?.message}`;
      const codes = decision.reasons.map(({ code }) => code);
      const now: Told = { result: decision.result, codes: deciding.readsContent ? mask(codes) : codes };
      // A policy that read content had the codes hidden that it did not declare.
      const kind = findDisagreement(told, { ...now, codes: mask(codes) }) && findDisagreement(told, now);
      if (kind === undefined) alike += 1;
      else note(kind, now, { given, told, decisionId });
    },
    tally: () => ({
      decisions,
      alike,
      changed,
      undecidable,
      lost,
      changes: [...changes.values()].sort((a, b) => b.count - a.count),
      leftOut,
      failure: failed,
    }),
  };

  function mask(codes: readonly string[]): readonly string[] {
    return codes.map((code) => (deciding.codes.has(code) || Object.hasOwn(errorTable, code) ? code : 'policy_denied'));
  }

  function note(
    kind: Disagreement,
    now: Told,
    { given, told: was, decisionId }: Pick<RecordedDecision, 'given' | 'told' | 'decisionId'>,
  ): void {
    changed[kind] += 1;
    const { who } = describe(given.input);
    const { model, operation } = given.input;
    const principal = given.input.principal?.id;
    const key = JSON.stringify([kind, who, model, operation, describeTold(was), describeTold(now)]);
    const known = changes.get(key);
    if (known !== undefined) known.count += 1;
    else if (changes.size >= mostChanges) leftOut += 1;
    else {
      const first = { place: given.place, decisionId };
      changes.set(key, { kind, principal, who, model, operation, was, now, count: 1, first });
    }
  }
}

export function describeTold({ result, codes }: { result: Decision['result']; codes: readonly string[] }): string {
  const list = [...new Set(codes)].sort().join(', ');
  return list === '' ? result : `${result} ${list}`;
}
