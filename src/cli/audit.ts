import { createPublicKey, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import { type Command, Option } from 'commander';

import { listFiles, type RequestFilter } from '../audit/file/requests.ts';
import { verifyLog } from '../audit/file/verify.ts';
import { type AuditPlaces, loadAuditPlaces } from '../config/load-audit.ts';
import { CallError } from '../errors.ts';
import { exportRequests, queryRequests, type Wanted } from './audit-query.ts';
import { tailRequests } from './audit-tail.ts';
import { printVerification } from './audit-verification.ts';
import type { CliDeps } from './config-options.ts';
import { readNumber, readTime } from './option-values.ts';
import { formatOption, toJson } from './output.ts';

interface PlaceOptions {
  readonly config?: string;
}

interface VerifyOptions extends PlaceOptions {
  readonly heads?: string;
  readonly publicKey?: string;
  readonly allowOtherChains?: true;
  readonly format: 'pretty' | 'json';
}

interface QueryOptions extends PlaceOptions {
  readonly since?: number;
  readonly until?: number;
  readonly principal?: string;
  readonly model?: string;
  readonly provider?: string;
  readonly result?: string;
  readonly outcome?: string;
}

const notes = `
Without a file it is audit.file of the configuration, with the files that were put aside beside it.

Examples:
  opallama audit verify --config opallama.yaml
  opallama audit verify audit/audit.jsonl --heads heads.jsonl --public-key heads.pub.pem
  opallama audit query --since 24h --principal alice --result deny
  opallama audit tail --follow
  opallama audit export --since 2026-11-01T00:00:00Z --format csv > november.csv

Exit codes: 0; 1 verify found something; 2 a wrong call or configuration.`;

/** `opallama audit`: reads the audit file. It writes nothing, and may be run beside a sidecar that does. */
export function registerAudit(program: Command, deps: CliDeps): void {
  const audit = program
    .command('audit')
    .description('verify the audit file, or say who asked what')
    .addHelpText('after', notes);

  addPlace(audit.command('verify'))
    .description('find changed bytes, missing lines, a tail that was cut off, a log that was made anew')
    .option('--heads <file>', 'where signed heads were sent to (default: audit.heads.file)')
    .option('--public-key <file>', 'that heads are signed by, in PEM (default: that of audit.heads)')
    .option('--allow-other-chains', 'the heads are of several sidecars')
    .addOption(formatOption('pretty', 'json'))
    .action(async (file: string | undefined, options: VerifyOptions) => {
      const places = choosePlaces(file, options, deps);
      const headsFile = options.heads === undefined ? places.headsFile : resolve(deps.environment.cwd, options.heads);
      const key = options.publicKey === undefined ? places.key : await readPublicKey(options.publicKey, deps);
      if (options.heads !== undefined && key === undefined)
        throw new CallError('--heads needs --public-key: a head counts only where it is signed.');
      const heads = headsFile !== undefined && key !== undefined && existsSync(headsFile) ? headsFile : undefined;
      if (options.heads !== undefined && heads === undefined)
        throw new CallError(`--heads: there is no ${options.heads}.`);
      const question = {
        files: listFiles(places.file),
        key,
        heads,
        allowOtherChains: options.allowOtherChains === true,
      };
      const result = await verifyLog(question).catch(nameUnreadable);
      deps.write(options.format === 'json' ? toJson(result) : printVerification(result, question.files.length));
      if (result.findings.length > 0) process.exitCode = 1;
    });

  addFilters(addPlace(audit.command('query')))
    .description('say who asked what, and what became of it')
    .option('--limit <number>', 'only so many requests, the last ones', readNumber, 100)
    .addOption(formatOption('table', 'json', 'csv'))
    .action(async (file: string | undefined, options: QueryOptions & { limit: number; format: Wanted }) => {
      const places = choosePlaces(file, options, deps);
      await queryRequests(places.file, toFilter(options), options, deps.write).catch(nameUnreadable);
    });

  addFilters(addPlace(audit.command('tail')))
    .description('show the last requests, and with --follow those that come')
    .option('--limit <number>', 'of the last ones', readNumber, 10)
    .option('-f, --follow', 'go on until it is stopped')
    .addOption(formatOption('table', 'json'))
    .action(
      async (file: string | undefined, options: QueryOptions & { limit: number; follow?: true; format: Wanted }) => {
        const places = choosePlaces(file, options, deps);
        await tailRequests(places.file, toFilter(options), options, deps).catch(nameUnreadable);
      },
    );

  addFilters(addPlace(audit.command('export')))
    .description('write all requests that fit, for other tools')
    .addOption(formatOption('json', 'csv'))
    .action(async (file: string | undefined, options: QueryOptions & { format: Wanted }) => {
      const places = choosePlaces(file, options, deps);
      await exportRequests(places.file, toFilter(options), options, deps).catch(nameUnreadable);
    });

  for (const command of audit.commands) command.exitOverride().showHelpAfterError();
}

function addPlace(command: Command): Command {
  return command
    .argument('[file]', 'the file that is written; default: audit.file of the configuration')
    .option('-c, --config <file>', 'configuration file (default: opallama.yaml, if it is there)');
}

function addFilters(command: Command): Command {
  return command
    .option(
      '--since <time>',
      'only requests from then on: 2026-01-31T22:00:00Z, or 24h for the last 24 hours',
      readTime,
    )
    .option('--until <time>', 'only requests before', readTime)
    .option('--principal <id>', 'only requests of this caller')
    .option('--model <name>', 'only requests for this model, by its short name')
    .option('--provider <name>', 'only requests to this provider')
    .addOption(
      new Option('--result <result>', 'only requests that the policy decided so').choices([
        'allow',
        'deny',
        'error',
        'none',
      ]),
    )
    .addOption(
      new Option('--outcome <outcome>', 'only requests that ended so').choices([
        'complete',
        'denied',
        'error',
        'incomplete',
        'aborted',
        'lost',
        'pending',
      ]),
    );
}

function toFilter({ since, until, principal, model, provider, result, outcome }: QueryOptions): RequestFilter {
  if (since !== undefined && until !== undefined && since >= until)
    throw new CallError('--until must be later than --since: no request fits otherwise.');
  return { sinceMs: since, untilMs: until, principal, model, provider, result, outcome };
}

function choosePlaces(
  file: string | undefined,
  { config }: PlaceOptions,
  { environment }: CliDeps,
): AuditPlaces & { readonly file: string } {
  if (file !== undefined && config === undefined)
    return { file: resolve(environment.cwd, file), headsFile: undefined, key: undefined };
  const places = loadAuditPlaces({ ...environment, file: config, flags: [] });
  const chosen = file === undefined ? places.file : resolve(environment.cwd, file);
  if (chosen === undefined) throw new CallError('Name the file, or the configuration that has audit.file: --config.');
  return { ...places, file: chosen };
}

async function readPublicKey(path: string, { environment }: CliDeps): Promise<KeyObject> {
  const advice = 'it holds no public key of type Ed25519 in PEM';
  const pem = await readFile(resolve(environment.cwd, path)).catch(nameUnreadable);
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    throw new CallError(`--public-key: ${path}: ${advice}.`);
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new CallError(`--public-key: ${path}: ${advice}.`);
  return key;
}

function nameUnreadable(error: unknown): never {
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) throw error;
  const path = 'path' in error ? String(error.path) : 'The file';
  throw new CallError(`${path} can't be read (${String(error.code)}).`);
}
