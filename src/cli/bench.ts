import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import { type Command, InvalidArgumentError } from 'commander';

import { parseDuration, UnitError } from '../config/units.ts';
import { engineNames } from '../decision/engines/table.ts';
import { CallError, PolicyError } from '../errors.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import type { PolicyInput } from '../types.ts';
import type { CliDeps } from './config-options.ts';
import { readInputs } from './inputs.ts';
import { type Measured, measureEngine } from './measure-engine.ts';
import { count, formatOption, paint, table, toJson } from './output.ts';
import { addPolicyOptions, choosePolicy, type PolicyOptions } from './policy-paths.ts';
import { sampleInputs } from './sample-inputs.ts';

interface BenchOptions extends PolicyOptions {
  readonly engine: readonly string[];
  readonly input?: string;
  readonly duration: number;
  readonly format: 'pretty' | 'json';
}

const examples = `
Examples:
  opallama bench policies/                                every engine on built-in inputs
  opallama bench policies/ --engine wasm,topdown --duration 5s
  opallama bench policies/ --input input.json             one input, or lines of the audit log
  opallama bench --config opallama.yaml --format json     with the options that an engine needs, such as policy.opa

Exit codes: 0; 1 where no engine could run the policy; 2 a wrong call or configuration.`;

/** `opallama bench`: what a decision costs, by every engine. */
export function registerBench(program: Command, deps: CliDeps): void {
  addPolicyOptions(program.command('bench [path]'))
    .description('decisions a second, p50 and p99 of every engine that can run a policy')
    .option('--engine <names>', `all, or some of ${engineNames.join(', ')}, with commas`, readEngines, engineNames)
    .option('--input <file>', 'inputs in JSON: one, a list, or one to a line (default: built-in samples)')
    .option('--duration <time>', 'for each engine, such as 500ms or 5s', readDuration, 2_000)
    .addOption(formatOption('pretty', 'json'))
    .addHelpText('after', examples)
    .action(async (path: string | undefined, options: BenchOptions) => {
      const { paths, section } = choosePolicy(path === undefined ? [] : [path], options, deps.environment);
      const inputs = options.input === undefined ? sampleInputs : await readGiven(options.input);
      const toolchain = createToolchain({ path: deps.environment.env['PATH'] });
      const lines: Line[] = [];
      try {
        for (const engine of options.engine) {
          const config = { ...section, engine, path: resolve(deps.environment.cwd, paths[0] ?? section.path) };
          lines.push(
            await measureEngine(config, inputs, options.duration, toolchain).then(
              (measured) => ({ engine, measured }),
              (error: unknown) => ({ engine, reason: explain(error) }),
            ),
          );
        }
      } finally {
        await toolchain.close();
      }
      const about = { policy: paths[0] ?? '', entrypoint: section.entrypoint, inputs: inputs.length };
      deps.write(options.format === 'json' ? toDocument(about, lines) : describe(about, lines, options.duration));
      if (!lines.some((line) => 'measured' in line)) process.exitCode = 1;
    });
}

type Line =
  | { readonly engine: string; readonly measured: Measured }
  | { readonly engine: string; readonly reason: string };

interface About {
  readonly policy: string;
  readonly entrypoint: string;
  readonly inputs: number;
}

async function readGiven(file: string): Promise<readonly PolicyInput[]> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw new CallError(`--input ${file} can't be read.`);
  });
  const inputs = readInputs(file, text).map(({ input }) => ({ ...input, now_ns: input.now_ns ?? Date.now() * 1e6 }));
  if (inputs.length === 0) throw new CallError(`--input ${file} holds no input.`);
  return inputs;
}

/** One line for a table: the summary, and of its faults the first. */
function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const [summary = '', fault] = message.split('\n').map((line) => line.trim());
  return error instanceof PolicyError && fault !== undefined ? `${summary} ${fault}` : summary;
}

function describe(about: About, lines: readonly Line[], durationMs: number): string {
  const number = (value: number): string => Math.round(value).toLocaleString('en');
  const first = lines.find((line) => 'measured' in line);
  const rows = lines.flatMap((line) => {
    if (!('measured' in line)) return [];
    const { measured, engine } = line;
    return [
      [
        engine,
        number(measured.decisionsPerS),
        `${measured.p50.toFixed(1)} µs`,
        `${measured.p99.toFixed(1)} µs`,
        `${number(measured.readyMs)} ms`,
        measured.place.replace('_', ' '),
        line === first ? '' : agreement(first, measured),
      ],
    ];
  });
  const reasons = lines.flatMap((line) =>
    'reason' in line ? [`${line.engine} can't run this policy: ${line.reason}\n`] : [],
  );
  const head = ['engine', 'decisions/s', 'p50', 'p99', 'ready', 'place', ''];
  const [title = '', ...body] = table([head, ...rows], ['left', 'right', 'right', 'right', 'right', 'left']).split(
    '\n',
  );
  return [
    `${about.policy}, entrypoint ${about.entrypoint}: ${count(about.inputs, 'input')}, ${durationMs / 1000} s an engine\n\n`,
    ...(rows.length > 0 ? [`${paint('bold', title)}\n${body.join('\n')}`] : []),
    ...(reasons.length > 0 && rows.length > 0 ? ['\n'] : []),
    ...reasons.map((reason) => paint('yellow', reason)),
  ].join('');
}

/** Engines that decide otherwise are no faster or slower way to the same thing. */
function agreement(first: Line | undefined, { verdicts }: Measured): string {
  if (first === undefined || !('measured' in first)) return '';
  const other = verdicts.filter((verdict, at) => verdict !== first.measured.verdicts[at]).length;
  return other === 0 ? `decides as ${first.engine}` : paint('red', `decides otherwise on ${count(other, 'input')}`);
}

function toDocument(about: About, lines: readonly Line[]): string {
  return toJson({
    ...about,
    engines: lines.map((line) => {
      if ('reason' in line) return { engine: line.engine, runs: false, reason: line.reason };
      const { decisionsPerS, p50, p99, readyMs, place, decisions, verdicts } = line.measured;
      return {
        engine: line.engine,
        runs: true,
        place,
        decisions,
        decisions_per_s: decisionsPerS,
        p50_us: p50,
        p99_us: p99,
        ready_ms: readyMs,
        verdicts,
      };
    }),
  });
}

function readEngines(value: string): readonly string[] {
  if (value === 'all') return engineNames;
  const names = value.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !engineNames.includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`Write all, or some of ${engineNames.join(', ')}.`);
  return names;
}

function readDuration(value: string): number {
  try {
    const ms = parseDuration(value);
    if (ms >= 10 && ms <= 600_000) return ms;
  } catch (error) {
    if (!(error instanceof UnitError)) throw error;
  }
  throw new InvalidArgumentError('Write 10ms to 10m.');
}
