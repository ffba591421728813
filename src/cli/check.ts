import { relative } from 'node:path';

import { type Command, Option } from 'commander';
import type { PolicyConfig } from '../configured/policy.ts';
import { createEngine } from '../decision/engines/table.ts';
import { decisionMembers } from '../decision/narrow.ts';
import { loadPolicy } from '../delivery/load-policy.ts';
import { nameSource } from '../delivery/name-source.ts';
import { ConfigError, PolicyError } from '../errors.ts';
import { type FaultQuestion, type Finding, findFaults } from '../policy/find-faults.ts';
import { readInputSchema } from '../policy/input-schema.ts';
import type { Toolchain } from '../policy/toolchain/protocol.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import { findIdentityFaults } from './check-identity.ts';
import { addConfigOptions, type CliDeps, type ConfigOptions, readConfig } from './config-options.ts';
import { chooseEntrypoints } from './entrypoints.ts';
import { examineFiles, isCedar } from './examine-files.ts';
import { printFault } from './frames.ts';
import { count, formatOption, paint, toJson } from './output.ts';
import { choosePolicy, displayed, type NamedPolicy, readPolicy } from './policy-paths.ts';

interface CheckOptions extends ConfigOptions {
  readonly schema?: FaultQuestion['schema'];
  readonly strict?: true;
  readonly format: 'pretty' | 'json';
}

const examples = `
Examples:
  opallama check policies/                        a policy by itself
  opallama check policies/ --strict               warnings are findings too, for CI
  opallama check mine/ --entrypoint mine/authz --schema off
  opallama check                                  the configuration, its policies and their tests
  opallama check --config opallama.yaml --format json

Exit codes: 0; 1 a finding; 2 a wrong call or configuration.`;

/** `opallama check`: with paths a policy by itself; without, all that `serve` does before it listens. */
export function registerCheck(program: Command, deps: CliDeps): void {
  addConfigOptions(program.command('check [paths...]'))
    .description(
      'find what is wrong with a policy; without a path with the configuration, its policies and their tests',
    )
    .addOption(
      new Option(
        '--schema <mode>',
        'members of the input that there are not: errors, warnings, or not looked at',
      ).choices(['strict', 'warn', 'off']),
    )
    .option('--strict', 'warnings are findings too')
    .addOption(formatOption('pretty', 'json'))
    .addHelpText('after', examples)
    .action(async (paths: readonly string[], options: CheckOptions) => {
      const toolchain = createToolchain({ path: deps.environment.env['PATH'] });
      const reports: Report[] = [];
      let inOrder = '';
      try {
        if (paths.length > 0) {
          const { section, entrypointNamed } = choosePolicy(paths, options, deps.environment);
          const [path] = paths;
          const cedar = options.config === undefined && path !== undefined && (await isCedar(path));
          const meant = cedar ? { ...section, engine: 'cedar' } : section;
          reports.push(await examine(paths, meant, entrypointNamed, options, toolchain));
        } else {
          const config = readConfig(options, deps.environment);
          const faults = findIdentityFaults(config.identity, deps.environment);
          if (faults.length > 0) throw new ConfigError(faults);
          for (const section of [...config.policies, ...(config.shadow ? [config.shadow] : [])]) {
            // What a server has is got once, where it is loaded below.
            if (section.bundle !== undefined || (await createEngine(section)).needs === 'none') continue;
            const path = relative(deps.environment.cwd, section.path) || '.';
            reports.push(await examine([path], section, true, options, toolchain));
          }
          if (!reports.some(hasErrors)) inOrder = await load(config, deps);
        }
      } finally {
        await toolchain.close();
      }
      const findings = reports.flatMap((report) => report.findings);
      const failed = findings.some(({ severity }) => options.strict === true || severity === 'error');
      deps.write(options.format === 'json' ? toDocument(reports, failed) : describe(reports, inOrder, failed));
      if (failed) process.exitCode = 1;
    });
}

interface Report {
  readonly paths: readonly string[];
  readonly source: NamedPolicy | undefined;
  readonly entrypoints: readonly string[];
  readonly findings: readonly Finding[];
  readonly notes: readonly string[];
}

async function examine(
  paths: readonly string[],
  section: PolicyConfig,
  entrypointNamed: boolean,
  options: CheckOptions,
  toolchain: Toolchain,
): Promise<Report> {
  const engine = await createEngine(section);
  const nothing = { paths, source: undefined, entrypoints: [section.entrypoint], findings: [], notes: [] };
  if (engine.needs === 'files') {
    // A program is only run where it is to be used.
    if (engine.holds === 'user_code') return nothing;
    const { source, faults } = await examineFiles(engine, paths, section.entrypoint, toolchain);
    return { ...nothing, source, findings: faults.map((fault): Finding => ({ ...fault, severity: 'error' })) };
  }
  let source: NamedPolicy;
  try {
    source = await readPolicy(paths);
  } catch (error) {
    if (!(error instanceof PolicyError) || error.faults.length === 0) throw error;
    return { ...nothing, findings: error.faults.map((fault): Finding => ({ ...fault, severity: 'error' })) };
  }
  const { modules, data } = source;
  if (Object.keys(modules).length === 0)
    return { ...nothing, source, notes: [`${paths.join(', ')} holds compiled policy and no Rego to look at.`] };
  const entrypoints = await toolchain.inspect({ modules, data }).then(
    (inspection) => {
      const chosen = chooseEntrypoints(inspection, section.entrypoint, entrypointNamed);
      // Of a policy with one package it can only be that one.
      return chosen.length === 0 && inspection.packages.length === 1 ? inspection.packages : chosen;
    },
    // It does not compile: the faults are found below.
    (error: unknown) => {
      if (error instanceof PolicyError && !error.faults.some(({ code }) => code.startsWith('toolchain_'))) return [];
      throw error;
    },
  );
  const { findings, notes } = await findFaults({
    source,
    entrypoints,
    inputSchema: await readInputSchema(),
    schema: options.schema ?? section.schema ?? 'warn',
    decisionNames: decisionMembers,
    compiled: engine.needs === 'wasm',
    toolchain,
  });
  const named = displayed(findings, source.display).map((fault, at): Finding => {
    return { ...fault, severity: findings[at]?.severity ?? 'error' };
  });
  return { paths, source, entrypoints, findings: named, notes };
}

function hasErrors({ findings }: Report): boolean {
  return findings.some(({ severity }) => severity === 'error');
}

/** @returns what people are told of it @throws PolicyError */
async function load(config: ReturnType<typeof readConfig>, deps: CliDeps): Promise<string> {
  const searchPath = deps.environment.env['PATH'];
  const { management, policies } = config;
  // Where these are only a control plane says, to a sidecar.
  const unknown = policies.filter(({ bundle }) => bundle?.url.protocol === 'bundle:');
  const known = { policies: policies.filter((member) => !unknown.includes(member)) };
  const logRules = management?.decisionLogs !== undefined || management?.discovery !== undefined;
  const policy = await loadPolicy(known, searchPath, { logRules });
  const shadow = config.shadow && (await loadPolicy({ policies: [config.shadow] }, searchPath));
  const lines = [...policy.members, ...(shadow?.members ?? [])].map(({ config: member, prepared, loaded }) => {
    const { entrypoint } = member;
    const path = nameSource(member);
    const tests = prepared.kind === 'directory' ? `${prepared.testsPassed} tests passed` : `a ${prepared.kind}`;
    const warnings = (prepared.warnings ?? []).map((warning) => `${path}: ${paint('yellow', warning)}\n`);
    return `${path}: revision ${loaded.revision}, entrypoint ${entrypoint} (${loaded.shape(entrypoint)}), ${tests}\n${warnings.join('')}`;
  });
  for (const { bundle } of unknown)
    lines.push(`${paint('yellow', `The bundle ${bundle?.name} was not looked at: discovery is to name it.`)}\n`);
  await policy.close();
  await shadow?.close();
  return `${lines.join('')}Configuration and policy are in order.\n`;
}

function describe(reports: readonly Report[], inOrder: string, failed: boolean): string {
  const findings = reports.flatMap((report) =>
    report.findings.map((finding) =>
      printFault(
        { ...finding, code: `${finding.severity} ${finding.code}` },
        textOf(report, finding.file),
        finding.severity === 'error' ? 'red' : 'yellow',
      ),
    ),
  );
  const all = reports.flatMap((report) => report.findings);
  const errors = all.filter(({ severity }) => severity === 'error').length;
  const said = [
    ...(errors > 0 ? [count(errors, 'error')] : []),
    ...(all.length > errors ? [count(all.length - errors, 'warning')] : []),
  ].join(', ');
  const looked = reports
    .filter(({ source }) => source !== undefined)
    .map(({ paths, source, entrypoints }) => {
      const modules = Object.keys(source?.modules ?? {}).length;
      const files = count(modules === 0 ? (source?.files.size ?? 0) : modules, 'file');
      return `${paths.join(', ')}: ${files}, entrypoint ${entrypoints.join(', ') || 'not known'}\n`;
    });
  return [
    ...findings,
    ...reports.flatMap(({ notes }) => notes.map((note) => `${paint('yellow', note)}\n`)),
    inOrder === '' ? looked.join('') : inOrder,
    said === '' ? (inOrder === '' ? 'Nothing found.\n' : '') : `${paint(failed ? 'red' : 'yellow', said)}\n`,
  ].join('');
}

function textOf({ source }: Report, file: string | undefined): string | undefined {
  const bytes = [...(source?.files ?? [])].find(([name]) => source?.display(name) === file)?.[1];
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
}

function toDocument(reports: readonly Report[], failed: boolean): string {
  return toJson({
    ok: !failed,
    policies: reports.map(({ paths, entrypoints, findings, notes }) => ({ paths, entrypoints, notes, findings })),
  });
}
