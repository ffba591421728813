/** An explanation for people: the rules that held, and of the others the way down to where they ended. */
import type {
  ExplainedEvaluation,
  ExplainedFailure,
  ExplainedRule,
  Explanation,
  ShownBinding,
  ShownValue,
} from '../policy/toolchain/protocol.ts';
import { paint } from './output.ts';
import type { Outcome } from './verdict.ts';

export interface ExplainView {
  readonly entrypoint: string;
  readonly outcome: Outcome;
  /** Every rule that was asked, and every way down to its end. */
  readonly all: boolean;
}

const longestText = 100;
/** Lists and objects, of which the beginning says enough. */
const longestStructure = 70;
const deepest = 4;
const mostBranches = 3;

export function printExplanation(told: Explanation, view: ExplainView): string {
  const asked = told.evaluations.filter(({ rule }) => !told.rules[rule]?.default);
  const own = asked.filter(({ rule }) => view.all || isBelow(told.rules[rule]?.path, view.entrypoint));
  const held = own.filter((each) => each.held);
  const failed = own.filter((each) => !each.held);
  // The denials that did not apply say nothing about the one that did.
  const telling = view.all
    ? failed
    : failed.filter(({ rule }) => !isNamed(told.rules[rule]?.path, view, ['deny', 'reasons']) || held.length === 0);
  // What another one asked for is told there.
  const asides = new Set(telling.flatMap(({ failures }) => failures.flatMap(({ calls }) => calls)));
  const wanted = telling.filter((each) => {
    const { path } = told.rules[each.rule] ?? {};
    const decides = path === view.entrypoint || isNamed(path, view, ['allow', 'allowed', 'deny']);
    return view.all || (view.outcome !== 'allow' && (decides || !asides.has(told.evaluations.indexOf(each))));
  });
  const defaults = told.rules.filter((rule) => rule.default && rule.held > 0 && isBelow(rule.path, view.entrypoint));
  const sections: string[] = [];
  const printer = createPrinter(told, view);
  if (held.length > 0) sections.push(`${paint('bold', 'held')}\n${held.map(printer.held).join('')}`);
  if (defaults.length > 0 && (held.length === 0 || view.all))
    sections.push(`${paint('bold', 'by default')}\n${defaults.map(printer.byDefault).join('')}`);
  if (wanted.length > 0) sections.push(`${paint('bold', 'did not hold')}\n${printer.failed(wanted)}`);
  if (failed.some((each) => !wanted.includes(each) && !asides.has(told.evaluations.indexOf(each))))
    sections.push(paint('dim', `Other rules of ${view.entrypoint} did not hold; --all shows them.\n`));
  if (told.cut) sections.push(paint('yellow', 'More was evaluated than is told here.\n'));
  return sections.join('\n');
}

function isBelow(path: string | undefined, entrypoint: string): boolean {
  return path !== undefined && (path === entrypoint || path.startsWith(`${entrypoint}/`));
}

function isNamed(path: string | undefined, { entrypoint }: ExplainView, names: readonly string[]): boolean {
  return names.some((name) => path === `${entrypoint}/${name}`);
}

function createPrinter({ rules, evaluations }: Explanation, view: ExplainView) {
  const place = (file: string, row: number): string => paint('cyan', `${file}:${row}`);
  const ruleOf = ({ rule }: ExplainedEvaluation): ExplainedRule | undefined => rules[rule];
  const name = (rule: ExplainedRule): string => rule.path.slice(rule.path.lastIndexOf('/') + 1);

  function held(evaluation: ExplainedEvaluation): string {
    const rule = ruleOf(evaluation);
    if (rule === undefined) return '';
    const values = evaluation.values
      .map((value) => printValue(value, 4 * longestText))
      .filter((value) => value !== 'true');
    return [
      `  ${place(rule.file, rule.row)}  ${rule.text.replace(/ \{$/, '')}\n`,
      values.length > 0 ? `    ${paint('dim', 'gave')} ${values.join(', ')}\n` : '',
      // What was made of it stands in what it gave.
      printBindings(
        evaluation.bindings.filter(
          ({ value }) => typeof value !== 'string' || !values.some((gave) => gave.includes(JSON.stringify(value))),
        ),
        '    ',
      ),
    ].join('');
  }

  function failed(list: readonly ExplainedEvaluation[], indent = '  ', depth = 0): string {
    const branches = distinct(list);
    const shown = view.all || depth === 0 ? branches : branches.slice(0, mostBranches);
    const more = branches.length - shown.length;
    const rest = more > 0 ? `${indent}${paint('dim', `and ${more} more`)}\n` : '';
    return shown.map((each) => printFailed(each, indent, depth)).join('') + rest;
  }

  function printFailed(evaluation: ExplainedEvaluation, indent: string, depth: number): string {
    const rule = ruleOf(evaluation);
    if (rule === undefined) return '';
    const [first, ...others] = evaluation.failures;
    if (first === undefined)
      return `${indent}${place(rule.file, rule.row)}  ${name(rule)}  ${paint('dim', 'does not fit what it was asked')}\n`;
    return [
      `${indent}${place(first.file || rule.file, first.row || rule.row)}  ${paint('bold', name(rule))} ends at ${paint('red', oneLine(first.text))}\n`,
      ...[first, ...others].map(({ text, bindings }) =>
        printBindings(
          bindings.filter(({ name }) => name !== text),
          `${indent}  `,
        ),
      ),
      printCalls(first, indent, depth),
    ].join('');
  }

  /** What the expression asked: of a negated one what held, else what did not. */
  function printCalls(failure: ExplainedFailure, indent: string, depth: number): string {
    if (depth >= deepest && !view.all) return '';
    const negated = /^not\b/.test(failure.text);
    const asked = failure.calls.map((call) => evaluations[call]).filter((call) => call !== undefined);
    const telling = asked.filter((call) => call.held === negated && !ruleOf(call)?.default);
    if (!negated) return failed(telling, `${indent}  `, depth + 1);
    return distinct(telling)
      .map((call) => {
        const rule = ruleOf(call);
        return rule === undefined ? '' : `${indent}  ${place(rule.file, rule.row)}  ${name(rule)} holds\n`;
      })
      .join('');
  }

  function byDefault(rule: ExplainedRule): string {
    return `  ${place(rule.file, rule.row)}  ${rule.text}\n`;
  }

  return { held, failed, byDefault };
}

/** Of evaluations that end alike the first: a rule is asked again for each thing that a loop tries. */
function distinct(list: readonly ExplainedEvaluation[]): readonly ExplainedEvaluation[] {
  const seen = new Set<string>();
  return list.filter((each) => {
    const key = JSON.stringify([each.rule, each.held, each.failures.map(({ row, bindings }) => [row, bindings])]);
    return !seen.has(key) && seen.add(key);
  });
}

function printBindings(bindings: readonly ShownBinding[], indent: string): string {
  // `true` says no more than that the rule it stands for holds.
  const said = bindings
    .filter(({ value }) => value !== true)
    .map((each) => `${each.name} = ${printValue(each)}`)
    .sort((a, b) => a.length - b.length);
  if (said.length === 0) return '';
  return `${indent}${paint('dim', `(${said.join(', ')})`)}\n`;
}

function printValue(shown: ShownValue, most?: number): string {
  if (shown.hidden === true) return '(hidden: --show-content)';
  if (shown.undefined === true) return 'undefined';
  const text = shown.cut ?? JSON.stringify(shown.value) ?? 'undefined';
  const limit = most ?? (typeof shown.value === 'object' ? longestStructure : longestText);
  return text.length > limit || shown.cut !== undefined ? `${text.slice(0, limit)}…` : text;
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > longestText ? `${line.slice(0, longestText)}…` : line;
}
