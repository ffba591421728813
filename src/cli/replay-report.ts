/** A replay as people and machines read it. */
import type { Disagreement } from '../decision/disagreement.ts';
import { count, paint, printable, table, toJson } from './output.ts';
import { type Change, describeTold, type Tally } from './replay-tally.ts';

/** What was replayed, and by what. */
export interface About {
  readonly revision: string;
  readonly engine: string;
  /** Whether the same input always gives the same result. */
  readonly isRepeatable: boolean;
  readonly broken: number;
  /** The first of the lines that can't be read, and why. */
  readonly brokenLines: readonly string[];
  /** Requests that ended before the policy was asked. */
  readonly undecided: number;
  /** Decisions that were not asked for. */
  readonly otherwise: number;
}

const headings: Readonly<Record<Disagreement, string>> = {
  newly_denied: 'Newly denied',
  newly_allowed: 'Newly allowed',
  error: 'Failing, and so denied',
  other_reasons: 'With other reasons',
};
const kinds = ['newly_denied', 'newly_allowed', 'error', 'other_reasons'] as const;

/** Rows of one kind that people are shown; machines are given all. */
const mostRows = 50;

export function printReplay(tally: Tally, about: About): string {
  const { decisions, alike, changed, undecidable, lost, failure, leftOut } = tally;
  const parts = [
    `${alike} alike`,
    ...kinds
      .filter((kind) => changed[kind] > 0)
      .map((kind) => paint(kind === 'newly_allowed' ? 'yellow' : 'red', `${changed[kind]} ${kind.replace('_', ' ')}`)),
    ...(undecidable > 0 ? [`${undecidable} undecidable`] : []),
  ];
  const members = [...lost].map(([member, times]) => `${member} (${times})`).sort();
  const further = [
    ...(about.undecided > 0 ? [`${count(about.undecided, 'request')} ended before the policy was asked`] : []),
    ...(about.otherwise > 0 ? [`${count(about.otherwise, 'decision')} passed over, as asked`] : []),
  ];
  return [
    `revision ${about.revision} by ${about.engine}\n`,
    `${count(decisions, 'decision')}: ${parts.join(', ')}\n`,
    ...further.map((line) => `${line}\n`),
    ...kinds.map((kind) => printKind(tally, kind)),
    leftOut > 0 ? `\n${leftOut} more changed decisions are of more kinds than are told apart.\n` : '',
    failure === undefined ? '' : `\nThe first failure, ${printable(failure)}\n`,
    members.length > 0 ? `\nUndecidable: recorded without ${members.join(', ')}, which the policy reads.\n` : '',
    about.isRepeatable
      ? ''
      : '\nThe policy calls a clock, random or network built-in, or it is not known whether it does: such a call has today’s result.\n',
    about.broken > 0 ? `\n${count(about.broken, 'line')} can't be read:\n` : '',
    ...about.brokenLines.map((line) => `  ${line}\n`),
  ].join('');
}

function printKind({ changes, changed }: Tally, kind: Disagreement): string {
  if (changed[kind] === 0) return '';
  const list = changes.filter((change) => change.kind === kind);
  const rows = list
    .slice(0, mostRows)
    .map((change) =>
      [
        `  ${change.who}`,
        change.operation ?? '',
        change.model ?? '',
        describeRule(change),
        `${change.count}`,
        change.first.place,
      ].map(printable),
    );
  const more =
    list.length > rows.length ? `  and ${list.length - rows.length} more rows; --format json has them\n` : '';
  const head = ['  principal', 'asks', 'model', 'rule', 'times', 'first'];
  const lines = table([head, ...rows], ['left', 'left', 'left', 'left', 'right', 'left']);
  const rules = sumRules(list).map(({ rule, times, principals, models }) => {
    const about = models === 0 ? '' : ` about ${count(models, 'model')}`;
    return [`  ${printable(rule)}`, count(times, 'decision'), `of ${count(principals, 'caller')}${about}`];
  });
  return `\n${paint('bold', headings[kind])}\n${table(rules)}\n${lines}${more}`;
}

interface RuleSum {
  readonly rule: string;
  readonly times: number;
  readonly principals: number;
  readonly models: number;
}

/** What each rule comes to over all callers, most frequent first: with many callers the rows alone say little. */
function sumRules(changes: readonly Change[]): readonly RuleSum[] {
  return [...Map.groupBy(changes, describeRule)]
    .map(([rule, list]) => ({
      rule,
      times: list.reduce((sum, { count: times }) => sum + times, 0),
      principals: new Set(list.map(({ principal }) => principal)).size,
      models: new Set(list.flatMap(({ model }) => model ?? [])).size,
    }))
    .sort((a, b) => b.times - a.times);
}

/** What denies now, or did then. */
function describeRule({ kind, was, now }: Change): string {
  if (kind === 'newly_denied' || kind === 'error') return now.codes.join(', ');
  if (kind === 'newly_allowed') return was.codes.join(', ');
  return `${describeTold(was)} → ${describeTold(now)}`;
}

export function replayDocument(tally: Tally, about: About): string {
  return toJson({
    revision: about.revision,
    engine: about.engine,
    repeatable: about.isRepeatable,
    decisions: tally.decisions,
    alike: tally.alike,
    ...tally.changed,
    undecidable: tally.undecidable,
    undecidable_members: Object.fromEntries(tally.lost),
    not_decided: about.undecided,
    passed_over: about.otherwise,
    broken_lines: about.broken,
    broken_examples: about.brokenLines,
    first_failure: tally.failure,
    by_rule: kinds.flatMap((kind) =>
      sumRules(tally.changes.filter((change) => change.kind === kind)).map((sum) => ({ kind, ...sum })),
    ),
    changes: tally.changes.map(({ kind, principal, model, operation, was, now, count: times, first }) => ({
      kind,
      principal,
      operation,
      model,
      was: { result: was.result, reasons: was.codes },
      now: { result: now.result, reasons: now.codes },
      times,
      first: { place: first.place, decision_id: first.decisionId },
    })),
    changes_left_out: tally.leftOut,
  });
}
