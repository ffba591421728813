import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import type { Command } from 'commander';

import { CallError } from '../errors.ts';
import type { FormatResult } from '../policy/toolchain/protocol.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import type { CliDeps } from './config-options.ts';
import { printFault } from './frames.ts';
import { formatOption, paint, toJson } from './output.ts';
import { choosePolicy } from './policy-paths.ts';
import { unifiedDiff } from './unified-diff.ts';

interface FmtOptions {
  readonly config?: string;
  readonly list?: true;
  readonly write?: true;
  readonly diff?: true;
  readonly check?: true;
  readonly format: 'pretty' | 'json';
}

const examples = `
Examples:
  opallama fmt policies/                 name the files that are not formatted
  opallama fmt policies/ --write         format them
  opallama fmt policies/ --diff --check  for CI: show what would change, exit with 1 if anything would
  opallama fmt - < authz.rego            print it formatted

Exit codes: 0; 1 a file that does not parse, or with --check one that would change; 2 a wrong call.`;

/** `opallama fmt`: Rego as OPA formats it. */
export function registerFmt(program: Command, deps: CliDeps): void {
  program
    .command('fmt [paths...]')
    .description('format Rego as OPA does; without an option it names the files that would change')
    .option('-c, --config <file>', 'configuration file that names the policy, where no path is given')
    .option('-l, --list', 'name the files that would change (the default)')
    .option('-w, --write', 'write them')
    .option('-d, --diff', 'show what would change')
    .option('--check', 'exit with 1 if a file would change')
    .addOption(formatOption('pretty', 'json'))
    .addHelpText('after', examples)
    .action(async (paths: readonly string[], options: FmtOptions) => {
      const fromStdin = paths.includes('-');
      if (fromStdin && (paths.length > 1 || options.write === true))
        throw new CallError('"-" stands alone and without --write: what is formatted is printed.');
      const files = fromStdin
        ? new Map([['<stdin>', await text(process.stdin)]])
        : await readRego(choosePolicy(paths, options, deps.environment).paths);
      const toolchain = createToolchain({ path: deps.environment.env['PATH'] });
      const result = await toolchain.format({ modules: Object.fromEntries(files) }).finally(() => toolchain.close());
      await report(files, result, options, fromStdin, deps.write);
    });
}

async function report(
  files: ReadonlyMap<string, string>,
  { modules, changed, faults }: FormatResult,
  options: FmtOptions,
  fromStdin: boolean,
  write: (text: string) => void,
): Promise<void> {
  if (options.write === true) for (const file of changed) await writeFile(file, modules[file] ?? '');
  const difference = (file: string): string => unifiedDiff(file, files.get(file) ?? '', modules[file] ?? '');
  if (options.format === 'json') {
    write(
      toJson({
        changed,
        written: options.write === true,
        faults,
        ...(options.diff === true && { diffs: Object.fromEntries(changed.map((file) => [file, difference(file)])) }),
      }),
    );
  } else {
    for (const fault of faults) process.stderr.write(printFault(fault, files.get(fault.file ?? '')));
    if (fromStdin && options.diff !== true && options.check !== true) write(modules['<stdin>'] ?? '');
    else for (const file of changed) write(options.diff === true ? colour(difference(file)) : `${file}\n`);
  }
  if (faults.length > 0 || (options.check === true && changed.length > 0)) process.exitCode = 1;
}

function colour(difference: string): string {
  return difference
    .split('\n')
    .map((line) => (line.startsWith('+') ? paint('green', line) : line.startsWith('-') ? paint('red', line) : line))
    .join('\n');
}

/** The Rego below some paths, by path. Hidden directories and those of packages are passed over. */
async function readRego(paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const files: string[] = [];
  const walk = async (path: string): Promise<void> => {
    if (!(await stat(path)).isDirectory()) {
      files.push(path);
      return;
    }
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
      if (entry.isDirectory()) await walk(join(path, entry.name));
      else if (entry.name.endsWith('.rego')) files.push(join(path, entry.name));
    }
  };
  for (const path of paths) await walk(path);
  const other = files.find((file) => !file.endsWith('.rego'));
  if (other !== undefined) throw new CallError(`${other} is no .rego file. Name directories and .rego files.`);
  if (files.length === 0) throw new CallError(`There is no .rego file below ${paths.join(', ')}.`);
  const read = files.sort().map(async (file) => [file, await readFile(file, 'utf8')] as const);
  return new Map(await Promise.all(read));
}
