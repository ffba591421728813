import { readdirSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Command } from 'commander';

import type { Environment } from '../config/environment.ts';
import type { PolicyConfig } from '../configured/policy.ts';
import { CallError } from '../errors.ts';
import { comparePolicies, type Difference, type Report } from './compare.ts';
import type { CliDeps } from './config-options.ts';
import { type GivenInput, readInputs } from './inputs.ts';
import { createJudge } from './judge.ts';
import { count, formatOption, paint, table, toJson } from './output.ts';
import { readBytes, readOfflineConfig } from './question.ts';

interface DiffOptions {
  readonly config?: string;
  readonly entrypoint?: string;
  readonly newEntrypoint?: string;
  readonly inputs?: string;
  readonly allowChanges?: true;
  readonly format: 'pretty' | 'json';
}

const notes = `
Examples:
  opallama diff policies/ policies-new/
  opallama diff v1.tar.gz policies/ --inputs audit.jsonl
  opallama diff policies/ policies-new/ --inputs inputs/ --format json --allow-changes

Inputs are documents (.json, one or a list of them; .jsonl, one to a line) or the audit log. Without --inputs those are taken
that are shipped. An input that was recorded without something that one of the policies reads is undecidable: it is counted
apart.

Exit codes: 0; 1 where an input is decided differently, or a policy does not load; 2 a wrong call or configuration.`;

/** Shipped, seen from `src/` and from `dist/`. */
const shippedInputs = fileURLToPath(new URL('../../examples/inputs/', import.meta.url));

/** `opallama diff`: what a change of a policy changes. */
export function registerDiff(program: Command, deps: CliDeps): void {
  program
    .command('diff')
    .description('say which of many inputs two policies decide differently')
    .argument('<old>', 'directory of Rego and data, or a bundle')
    .argument('<new>', 'the same of the other one')
    .option('-c, --config <file>', 'configuration whose policy section holds for both, but for the path')
    .option('--entrypoint <path>', 'package or rule that decides, as in ollama/authz')
    .option('--new-entrypoint <path>', 'that of the new one, where it is another')
    .option('--inputs <path>', 'a file of inputs, an audit log, a directory of those, or "-"')
    .option('--allow-changes', 'end with 0 also where something differs')
    .addOption(formatOption('pretty', 'json'))
    .addHelpText('after', notes)
    .action(async (oldPath: string, newPath: string, options: DiffOptions) => {
      const { environment } = deps;
      const config = readOfflineConfig(options, environment);
      const [base] = config.policies;
      if (base === undefined) throw new CallError('The configuration names no policy.');
      const inputs = readAll(options.inputs, environment);
      const at = (path: string): PolicyConfig => ({ ...base, path: resolve(environment.cwd, path) });
      const { newEntrypoint: entrypoint = base.entrypoint } = options;
      const searchPath = environment.env['PATH'];
      const before = await createJudge({ policies: [at(oldPath)] }, searchPath);
      try {
        const after = await createJudge({ policies: [{ ...at(newPath), entrypoint }] }, searchPath);
        const report = await comparePolicies(before, after, inputs).finally(() => after.policy.close());
        deps.write(options.format === 'json' ? toJson(toDocument(report)) : print(report));
        if (report.differences.length > 0 && options.allowChanges !== true) process.exitCode = 1;
      } finally {
        await before.policy.close();
      }
    });
}

function readAll(path: string | undefined, environment: Environment): readonly GivenInput[] {
  const named = path ?? shortest(shippedInputs, environment.cwd);
  const read = (file: string) => readInputs(file, Buffer.from(readBytes(file, environment)).toString('utf8'));
  const absolute = resolve(environment.cwd, named);
  const isDirectory = named !== '-' && statSync(absolute, { throwIfNoEntry: false })?.isDirectory() === true;
  const files = isDirectory
    ? readdirSync(absolute)
        .filter((file) => /\.(?:json|jsonl|ndjson)$/.test(file))
        .sort()
        .map((file) => join(named, file))
    : [named];
  const inputs = files.flatMap(read);
  if (inputs.length === 0) throw new CallError(`There is no input at ${named}.`);
  return inputs;
}

function shortest(path: string, cwd: string): string {
  const short = relative(cwd, path);
  return short.startsWith('..') ? path : short;
}

function print(report: Report): string {
  const { differences, undecidable, alike } = report;
  const total = alike + differences.length + undecidable.length;
  const changes = Map.groupBy(differences, ({ before, after }) => `${before.decision} → ${after.decision}`);
  const summary = [
    `${alike} alike`,
    paint(differences.length > 0 ? 'yellow' : 'green', `${differences.length} differ`),
    ...(undecidable.length > 0 ? [`${undecidable.length} undecidable`] : []),
  ];
  const rows = differences.map(({ place, who, asks, before, after, differs }) => [
    `  ${place}`,
    who,
    asks,
    `${shorten(before)} → ${shorten(after)}`,
    differs.includes('decision') ? '' : `(${differs.join(', ')})`,
  ]);
  const missing = [...new Set(undecidable.flatMap(({ members }) => members))].sort();
  return [
    `old ${report.revisions.before}, new ${report.revisions.after}\n`,
    `${count(total, 'input')}: ${summary.join(', ')}\n`,
    ...[...changes].map(([change, list]) => `  ${change}: ${list.length}\n`),
    rows.length > 0 ? `\n${table(rows)}` : '',
    undecidable.length > 0
      ? `\nUndecidable: recorded without ${missing.join(', ')}, which one of the policies reads.\n`
      : '',
  ].join('');
}

function shorten({ decision, reasons }: Difference['before']): string {
  return [decision, ...reasons.map(({ code }) => code)].join(' ');
}

function toDocument({ alike, differences, undecidable, revisions }: Report): unknown {
  return {
    old_revision: revisions.before,
    new_revision: revisions.after,
    inputs: alike + differences.length + undecidable.length,
    alike,
    differ: differences.length,
    undecidable: undecidable.length,
    differences: differences.map(({ place, differs, before, after }) => ({ place, differs, old: before, new: after })),
    undecidable_inputs: undecidable,
  };
}
