import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';

import type { Command } from 'commander';
import type { Config } from '../configured/config.ts';
import type { PolicyConfig } from '../configured/policy.ts';
import { CallError } from '../errors.ts';
import { readAuditLine } from './audit-line.ts';
import type { CliDeps } from './config-options.ts';
import { createJudge } from './judge.ts';
import { readNumber, readTime } from './option-values.ts';
import { formatOption } from './output.ts';
import { readOfflineConfig } from './question.ts';
import { readLines } from './read-lines.ts';
import { type About, printReplay, replayDocument } from './replay-report.ts';
import { createReplay, type Replay } from './replay-tally.ts';

interface ReplayOptions {
  readonly config?: string;
  readonly policy?: readonly string[];
  readonly entrypoint?: string;
  readonly since?: number;
  readonly until?: number;
  readonly principal?: readonly string[];
  readonly limit?: number;
  readonly allowChanges?: true;
  readonly format: 'pretty' | 'json';
}

const notes = `
Examples:
  opallama replay --policy policies-new/ audit.jsonl
  kubectl logs deploy/ollama -c opallama | opallama replay --policy policies-new/ -
  opallama replay --policy tenants=tenants-new/ --config opallama.yaml --since 24h audit.jsonl

The policy is asked about the inputs that the audit log kept, at the time that they had, and what it says is compared with
what was decided then: result and codes of reasons. Obligations and headers are not in the log. An input that was recorded
without something that the policy reads is undecidable: it is counted apart.

Exit codes: 0; 1 where anything would be decided differently, or the policy does not load; 2 a wrong call or
configuration, or a log without a decision.`;

/** Audit lines hold no text of callers', so a longer one is none; bytes. */
const longestLine = 4 * 1024 * 1024;
/** Lines that are named, of those that can't be read. */
const mostNamed = 20;

/** `opallama replay`: who would newly be denied or allowed. */
export function registerReplay(program: Command, { environment, write }: CliDeps): void {
  program
    .command('replay')
    .description('say who would newly be denied or allowed by a policy, from the audit log')
    .argument('<audit...>', 'files of the audit log, in order; "-" is standard input')
    .option('-c, --config <file>', 'configuration whose policy section holds, but for the path')
    .option('--policy <path>', 'the new policy; name=path for one of several, may be repeated', collect)
    .option('--entrypoint <path>', 'package or rule that decides, as in ollama/authz')
    .option(
      '--since <time>',
      'only requests from then on: 2026-01-31T22:00:00Z, or 24h for the last 24 hours',
      readTime,
    )
    .option('--until <time>', 'only requests before', readTime)
    .option('--principal <id>', 'only requests of this caller; may be repeated', collect)
    .option('--limit <number>', 'only so many decisions, the first ones', readNumber)
    .option('--allow-changes', 'end with 0 also where something changes')
    .addOption(formatOption('pretty', 'json'))
    .addHelpText('after', notes)
    .action(async (names: readonly string[], options: ReplayOptions) => {
      const { cwd, env } = environment;
      const { config: file, entrypoint } = options;
      const config = readOfflineConfig(
        { ...(file !== undefined && { config: file }), ...(entrypoint !== undefined && { entrypoint }) },
        environment,
      );
      const policies = choosePaths(config, options.policy ?? [], cwd);
      const judge = await createJudge({ policies }, env['PATH']);
      try {
        const replay = createReplay(judge);
        const log = await replayAll(names, options, cwd, replay);
        const { members } = judge.policy;
        const about: About = {
          ...log,
          revision: judge.policy.revision,
          engine: policies.map(({ engine }) => engine).join(','),
          // Nothing is the same at another time or place for built-ins such as time.now_ns.
          isRepeatable: members.every(({ loaded }) => loaded.deterministic),
        };
        const tally = replay.tally();
        if (tally.decisions === 0) {
          const why =
            log.otherwise === 0 ? '' : `; ${log.otherwise} are not of the callers and the time that are asked for`;
          const unread = log.broken === 0 ? '' : `; ${log.broken} lines can't be read`;
          throw new CallError(`There is no decision in ${names.join(', ')}${why}${unread}.`);
        }
        write(options.format === 'json' ? replayDocument(tally, about) : printReplay(tally, about));
        const isChanged = tally.alike + tally.undecidable < tally.decisions;
        if (isChanged && options.allowChanges !== true) process.exitCode = 1;
      } finally {
        await judge.policy.close();
      }
    });
}

/** @param given a path, or of several policies `name=path` for each that is another one */
function choosePaths({ policies }: Config, given: readonly string[], cwd: string): readonly PolicyConfig[] {
  const [only, ...others] = policies;
  const [path, ...more] = given;
  if (path === undefined) return policies;
  if (only !== undefined && others.length === 0) {
    if (more.length > 0) throw new CallError('There is one policy, so --policy can be given once.');
    return [standIn(only, resolve(cwd, path))];
  }
  const paths = new Map<string, string>();
  for (const text of given) {
    const [, name = '', value = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
    if (value === '' || !policies.some((policy) => policy.name === name)) {
      const names = policies.map((policy) => policy.name).join(', ');
      throw new CallError(`The configuration names several policies: write --policy name=path, with one of ${names}.`);
    }
    paths.set(name, resolve(cwd, value));
  }
  return policies.map((policy) => standIn(policy, paths.get(policy.name)));
}

/** What is not published yet is on no server, and nobody has signed it. */
function standIn(policy: PolicyConfig, path: string | undefined): PolicyConfig {
  return path === undefined ? policy : { ...policy, path, bundle: undefined, signature: undefined };
}

type Log = Omit<About, 'revision' | 'engine' | 'isRepeatable'>;

async function replayAll(names: readonly string[], options: ReplayOptions, cwd: string, replay: Replay): Promise<Log> {
  const { since = -Infinity, until = Infinity, principal, limit = Infinity } = options;
  const brokenLines: string[] = [];
  let [decisions, broken, undecided, otherwise] = [0, 0, 0, 0];
  for (const name of names) {
    const source = name === '-' ? process.stdin : createReadStream(resolve(cwd, name), { highWaterMark: 1 << 20 });
    try {
      for await (const { number, text, ended } of readLines(source, longestLine)) {
        const place = `${name}:${number}`;
        const line = readAuditLine(place, text, ended);
        if (line.kind === 'broken') {
          broken += 1;
          if (brokenLines.length < mostNamed) brokenLines.push(`${place} ${line.why}`);
        } else if (line.kind === 'undecided') undecided += 1;
        else if (line.kind === 'decision') {
          const { atMs = Number.NaN, given } = line;
          const isMeant =
            (options.since === undefined || atMs >= since) &&
            (options.until === undefined || atMs < until) &&
            (principal === undefined || principal.includes(given.input.principal?.id));
          if (isMeant) {
            if (decisions === limit) break;
            decisions += 1;
            await replay.add(line);
          } else otherwise += 1;
        }
      }
    } catch (error) {
      throw nameUnreadable(error, name);
    }
    if (decisions === limit) break;
  }
  return { broken, brokenLines, undecided, otherwise };
}

function nameUnreadable(error: unknown, name: string): unknown {
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) return error;
  return new CallError(`${name === '-' ? 'Standard input' : name} can't be read (${String(error.code)}).`);
}

function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}
