import type { Command } from 'commander';

import {
  type AdminOptions,
  addAdminOptions,
  adminNotes,
  createAdminClient,
  listOf,
  memberOf,
  textOf,
} from './admin-client.ts';
import type { CliDeps } from './config-options.ts';
import { paint, table, toJson } from './output.ts';
import { hasStaleIdentity, printIdentity } from './status-identity.ts';

/** `opallama status`: what a running sidecar decides by, and whom it believes. */
export function registerStatus(program: Command, deps: CliDeps): void {
  addAdminOptions(program.command('status'))
    .description(
      'say what a running sidecar decides by, and whom it believes: revisions, rollouts, keys, refused changes',
    )
    .addHelpText(
      'after',
      `${adminNotes} 1 also where it is not ready, a change was refused, or an issuer's keys can not be had.`,
    )
    .action(async (options: AdminOptions) => {
      const client = createAdminClient(options, deps.environment);
      const status = await client.get('/v1/status');
      const policies = listOf(status, 'policies');
      const identity = await client.get('/v1/identity');
      if (options.format === 'json') {
        const revisions: Record<string, unknown> = {};
        for (const policy of policies) {
          const name = textOf(policy, 'name');
          revisions[name] = memberOf(await client.get(`/v1/policies/${name}/revisions`), 'revisions');
        }
        deps.write(toJson({ ...Object(status), revisions, identity }));
      } else {
        deps.write(printStatus(status));
        for (const policy of policies) {
          const path = `/v1/policies/${textOf(policy, 'name')}/revisions`;
          deps.write(`\n${printPolicy(policy, listOf(await client.get(path), 'revisions'))}`);
        }
        const shadow = memberOf(status, 'shadow');
        if (shadow !== undefined) deps.write(`\n${printShadow(shadow)}`);
        const believed = printIdentity(identity);
        if (believed !== '') deps.write(`\n${believed}`);
      }
      const hasFinding =
        policies.some((policy) => memberOf(policy, 'refused') !== undefined) || hasStaleIdentity(identity);
      if (hasFinding || memberOf(status, 'ready') !== true) process.exitCode = 1;
    });
}

function printStatus(status: unknown): string {
  const isReady = memberOf(status, 'ready') === true;
  const listeners = Object.entries(Object(memberOf(status, 'listeners'))).map(([name, at]) => `${name} ${at}`);
  const facts = [
    ['ready', isReady ? 'yes' : `no: ${listOf(status, 'not_ready').join('; ')}`],
    ['version', textOf(status, 'version')],
    ['up since', textOf(status, 'started_at')],
    ['in flight', textOf(status, 'in_flight')],
    ['upstream', textOf(status, 'upstream')],
    ['listeners', listeners.join(', ')],
    ...listOf(status, 'workers').map((worker) => [`worker ${textOf(worker, 'worker')}`, describeWorker(worker)]),
  ];
  return table(facts);
}

function describeWorker(worker: unknown): string {
  const reasons = listOf(worker, 'not_ready').join('; ');
  const state = memberOf(worker, 'serving') !== true ? 'starts' : reasons === '' ? 'serves' : `not ready: ${reasons}`;
  return `${state}, ${textOf(worker, 'in_flight')} in flight, process ${textOf(worker, 'pid')}`;
}

/** What it would decide otherwise is no finding: that is what it is for. */
function printShadow(shadow: unknown): string {
  const refused = memberOf(shadow, 'refused');
  const revision = textOf(shadow, 'revision');
  const results = Object.entries(Object(memberOf(shadow, 'results'))).map(([result, count]) => [
    `  ${result}`,
    `${count}`,
  ]);
  return [
    `${paint('bold', textOf(shadow, 'name'))}  ${describeWhat(shadow)}\n`,
    revision === ''
      ? '  not loaded\n'
      : `  revision ${revision} is asked and decides nothing; requests since the start:\n`,
    ...(revision === '' ? [] : [table(results)]),
    ...describeRefused(refused).map((note) => `  ${paint('yellow', note)}\n`),
  ].join('');
}

function describeWhat(policy: unknown): string {
  return `${textOf(policy, 'entrypoint')} by ${textOf(policy, 'engine')}, ${textOf(policy, 'path')}`;
}

function describeRefused(refused: unknown): readonly string[] {
  if (refused === undefined) return [];
  const summary = `the change of ${textOf(refused, 'at')} was refused: ${textOf(refused, 'summary')}`;
  return [summary, ...listOf(refused, 'faults').map(String)];
}

function printPolicy(policy: unknown, revisions: readonly unknown[]): string {
  const notes = [
    textOf(policy, 'not_ready') === '' ? [] : [`can not decide: ${textOf(policy, 'not_ready')}`],
    memberOf(policy, 'held_since') === undefined
      ? []
      : [`was rolled back at ${textOf(policy, 'held_since')}; opallama reload takes what is new again`],
    memberOf(policy, 'waiting_since') === undefined
      ? []
      : [`has changed since, at ${textOf(policy, 'waiting_since')}, and waits`],
    describeRefused(memberOf(policy, 'refused')),
  ].flat();
  const rows = revisions.map((each) => {
    const percent = textOf(each, 'percent');
    const state = percent === '' ? textOf(each, 'state') : `${textOf(each, 'state')} ${percent} %`;
    return [`  ${textOf(each, 'revision')}`, state, textOf(each, 'loaded_at'), `${textOf(each, 'tests_passed')} tests`];
  });
  return [
    `${paint('bold', textOf(policy, 'name'))}  ${describeWhat(policy)}\n`,
    table(rows),
    ...notes.map((note) => `  ${paint('yellow', note)}\n`),
  ].join('');
}
