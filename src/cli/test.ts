import { type Command, InvalidArgumentError } from 'commander';

import { CallError, PolicyError, type PolicyFault } from '../errors.ts';
import type { Coverage, TestCase, TestResult, Toolchain } from '../policy/toolchain/protocol.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import type { CliDeps } from './config-options.ts';
import { percent, printCoverage } from './coverage.ts';
import { printFault } from './frames.ts';
import { toJunit } from './junit.ts';
import { count, duration, formatOption, paint, toJson } from './output.ts';
import {
  addPolicyOptions,
  choosePolicy,
  displayed,
  type NamedPolicy,
  type PolicyOptions,
  readPolicy,
} from './policy-paths.ts';
import { watchPaths } from './watch.ts';

interface TestOptions extends PolicyOptions {
  readonly coverage?: true;
  readonly threshold?: number;
  readonly run?: string;
  readonly watch?: true;
  readonly verbose?: true;
  readonly timeout: number;
  readonly format: 'pretty' | 'json' | 'junit';
}

const examples = `
Examples:
  opallama test policies/                          run every test of the policy
  opallama test policies/ --coverage               and say which lines no test reaches
  opallama test policies/ --threshold 100          fail where less is covered
  opallama test policies/ --run 'authz_test.test_deny' --verbose
  opallama test policies/ --watch                  again whenever a file changes, until Ctrl+C
  opallama test policies/ --format junit > tests.xml

Exit codes: 0; 1 a test that fails, a line too many that is not covered, a policy that does not compile; 2 a wrong call.`;

/** `opallama test`: the Rego tests of a policy, by OPA's own tester. */
export function registerTest(program: Command, deps: CliDeps): void {
  addPolicyOptions(program.command('test [paths...]'))
    .description("run a policy's Rego tests; without a path those of the configured policy")
    .option('--coverage', 'say for each file how many lines the tests reach, and which they do not')
    .option('--threshold <percent>', 'fail where less of all lines is covered', readPercent)
    .option('--run <regex>', 'only tests whose name matches, as in data.ollama.authz_test.test_deny (RE2)')
    .option('--timeout <milliseconds>', 'for one test', readMilliseconds, 5_000)
    .option('--watch', 'run again whenever a file changes, until Ctrl+C')
    .option('-v, --verbose', 'list every test, with what it printed')
    .addOption(formatOption('pretty', 'json', 'junit'))
    .addHelpText('after', examples)
    .action(async (paths: readonly string[], options: TestOptions) => {
      const chosen = choosePolicy(paths, options, deps.environment).paths;
      const toolchain = createToolchain({ path: deps.environment.env['PATH'] });
      try {
        if (options.watch === true) return await watch(chosen, options, toolchain, deps.write);
        const report = await run(chosen, options, toolchain);
        deps.write(print(report, options));
        if (!report.succeeded) process.exitCode = 1;
      } finally {
        await toolchain.close();
      }
    });
}

interface TestReport {
  readonly result: TestResult;
  /** Why no test ran at all. */
  readonly faults: readonly PolicyFault[];
  readonly source: Pick<NamedPolicy, 'modules' | 'display'> | undefined;
  readonly problems: readonly string[];
  readonly succeeded: boolean;
}

async function run(paths: readonly string[], options: TestOptions, toolchain: Toolchain): Promise<TestReport> {
  const source = await readPolicy(paths, 'kept').catch(rejected);
  if ('faults' in source) return source;
  const { modules, data, display, library } = source;
  const wantsCoverage = options.coverage === true || options.threshold !== undefined;
  const request = { modules, data, coverage: wantsCoverage, timeoutMs: options.timeout };
  const { run: pattern } = options;
  const result = await toolchain.test(pattern === undefined ? request : { ...request, run: pattern }).catch(rejected);
  if ('faults' in result) return { ...result, faults: displayed(result.faults, display), source };
  const named: TestResult = {
    passed: result.passed,
    cases: result.cases.map((each) => ({ ...each, file: display(each.file) })),
    ...(result.coverage && { coverage: nameCoverage(result.coverage, library, display) }),
  };
  const problems: string[] = [];
  if (named.cases.length === 0 && options.run !== undefined) problems.push(`No test matches ${options.run}.`);
  const covered = named.coverage?.percent;
  if (options.threshold !== undefined) {
    if (covered === undefined) problems.push('No coverage was reported, because tests fail.');
    else if (covered < options.threshold)
      problems.push(`Coverage is ${percent(covered)}, below the threshold of ${percent(options.threshold)}.`);
  }
  return { result: named, faults: [], source, problems, succeeded: named.passed && problems.length === 0 };
}

/** Of the policy's own modules: those of the library have tests elsewhere. */
function nameCoverage(coverage: Coverage, library: readonly string[], display: NamedPolicy['display']): Coverage {
  const own = Object.entries(coverage.files).filter(([file]) => !library.includes(file));
  const files = Object.fromEntries(own.map(([file, each]) => [display(file), each]));
  if (library.length === 0) return { percent: coverage.percent, files };
  const covered = own.reduce((sum, [, each]) => sum + each.coveredLines, 0);
  const all = own.reduce((sum, [, each]) => sum + each.coveredLines + each.notCoveredLines, 0);
  return { percent: all === 0 ? 100 : (100 * covered) / all, files };
}

/** A policy with faults is a finding, with no test that ran; whatever else goes wrong is none. */
function rejected(error: unknown): TestReport {
  if (!(error instanceof PolicyError)) throw error;
  const [summary = '', ...rest] = error.message.split('\n', error.faults.length > 0 ? 1 : undefined);
  if (error.faults.some(({ code }) => code.startsWith('toolchain_'))) throw error;
  if (error.faults.some(({ code }) => code === 'invalid_pattern'))
    throw new CallError(`--run: ${error.faults[0]?.message}`);
  return {
    result: { passed: false, cases: [] },
    faults: error.faults,
    source: undefined,
    problems: [[summary, ...rest].join('\n')],
    succeeded: false,
  };
}

function print(report: TestReport, options: TestOptions): string {
  if (options.format === 'json') return toJson(toDocument(report));
  if (options.format === 'junit') return toJunit([...report.result.cases, ...report.faults.map(toCase)]);
  const { cases, coverage } = report.result;
  if (cases.length === 0 && report.problems.length > 0)
    return [
      ...report.faults.map((fault) => printFault(fault, textOf(report, fault.file))),
      ...report.problems.map((problem) => `${paint('red', problem)}\n`),
    ].join('');
  const shown = options.verbose === true ? cases : cases.filter(({ outcome }) => outcome !== 'pass');
  const wantsTable = options.coverage === true || (options.threshold !== undefined && report.problems.length > 0);
  return [
    ...shown.map((each) => describe(each)),
    shown.length > 0 ? '\n' : '',
    summarize(cases),
    coverage !== undefined && wantsTable ? printCoverage(coverage) : '',
    ...report.problems.map((problem) => `${paint('red', problem)}\n`),
  ].join('');
}

function textOf({ source }: TestReport, file: string | undefined): string | undefined {
  return Object.entries(source?.modules ?? {}).find(([name]) => source?.display(name) === file)?.[1];
}

/** A report of tests has no other place for a policy that does not compile. */
function toCase(fault: PolicyFault): TestCase {
  const { code, message, file = '', row = 0, column = 0 } = fault;
  return { package: 'policy', name: code, file, row, column, outcome: 'error', durationNs: 0, output: '', message };
}

const marks = {
  pass: () => paint('green', 'PASS '),
  fail: () => paint('red', 'FAIL '),
  error: () => paint('red', 'ERROR'),
  skip: () => paint('yellow', 'SKIP '),
} as const;

function describe(test: TestCase): string {
  const { outcome, failedAt } = test;
  const bad = outcome === 'fail' || outcome === 'error';
  const at = `${test.file}:${failedAt?.row ?? test.row}`;
  const why = failedAt === undefined ? (test.message ?? '') : `not true: ${failedAt.text}`;
  const name = `${test.package.replace(/^data\./, '')}.${test.name}`;
  const printed = test.output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => `      ${paint('dim', '|')} ${line}\n`);
  return [
    `${marks[outcome]()} ${bad ? `${paint('bold', at)}: ` : ''}${name} ${paint('dim', `(${duration(test.durationNs)})`)}\n`,
    bad && why !== '' ? `      ${why}\n` : '',
    bad && failedAt !== undefined && test.message?.startsWith('these cases') ? `      ${test.message}\n` : '',
    ...printed,
  ].join('');
}

function summarize(cases: readonly TestCase[]): string {
  const of = (outcome: TestCase['outcome']): number => cases.filter((each) => each.outcome === outcome).length;
  const spent = cases.reduce((total, { durationNs }) => total + durationNs, 0);
  if (cases.length === 0) return 'No tests ran.\n';
  const parts = [
    `${of('pass')} passed`,
    ...(of('fail') > 0 ? [paint('red', `${of('fail')} failed`)] : []),
    ...(of('error') > 0 ? [paint('red', count(of('error'), 'error'))] : []),
    ...(of('skip') > 0 ? [paint('yellow', `${of('skip')} skipped`)] : []),
  ];
  return `${count(cases.length, 'test')}: ${parts.join(', ')} ${paint('dim', `(${duration(spent)})`)}\n`;
}

function toDocument({ result, faults, problems, succeeded }: TestReport): unknown {
  return {
    passed: succeeded,
    problems,
    faults,
    tests: result.cases.map(({ durationNs, failedAt, ...each }) => ({
      ...each,
      duration_ns: durationNs,
      ...(failedAt && { failed_at: failedAt }),
    })),
    ...(result.coverage && {
      coverage: {
        percent: result.coverage.percent,
        files: Object.fromEntries(
          Object.entries(result.coverage.files).map(([file, each]) => [
            file,
            {
              percent: each.percent,
              covered_lines: each.coveredLines,
              not_covered_lines: each.notCoveredLines,
              covered: each.covered,
              not_covered: each.notCovered,
            },
          ]),
        ),
      },
    }),
  };
}

async function watch(
  paths: readonly string[],
  options: TestOptions,
  toolchain: Toolchain,
  write: (text: string) => void,
): Promise<void> {
  await watchPaths(paths, async () => {
    // What is half written is reported, and mended by the next change.
    write(print(await run(paths, options, toolchain), options));
    if (options.format === 'pretty') write(paint('dim', 'Waiting for changes; Ctrl+C ends this.\n'));
  });
}

function readPercent(value: string): number {
  const number = Number(value);
  if (value.trim() === '' || !(number >= 0 && number <= 100)) throw new InvalidArgumentError('Write 0 to 100.');
  return number;
}

function readMilliseconds(value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new InvalidArgumentError('Write a whole number of milliseconds.');
  return Number(value);
}
