/** What the commands share that change what a running sidecar decides by. */
import {
  type AdminAnswer,
  type AdminOptions,
  createAdminClient,
  describeError,
  listOf,
  memberOf,
  textOf,
} from './admin-client.ts';
import type { CliDeps } from './config-options.ts';
import { paint, toJson } from './output.ts';

/**
 * Asks for a change and prints what came of it.
 *
 * @param policy the only one by default
 */
export async function changePolicy(
  deps: CliDeps,
  options: AdminOptions,
  policy: string | undefined,
  action: 'reload' | 'rollback' | 'rollout',
  body: Readonly<Record<string, unknown>>,
): Promise<void> {
  const client = createAdminClient(options, deps.environment);
  const answer = await client.post(`/v1/policies/${await client.nameOf(policy)}/${action}`, body);
  deps.write(options.format === 'json' ? toJson(answer.document) : print(answer));
  if (answer.status !== 200 || textOf(answer.document, 'result') === 'refused') process.exitCode = 1;
}

function print({ status, document }: AdminAnswer): string {
  if (status !== 200) return `${describeError(document) ?? `status ${status}`}\n`;
  const [name, revision, former] = ['policy', 'revision', 'former_revision'].map((member) => textOf(document, member));
  const refused = memberOf(document, 'refused');
  const rollout = memberOf(document, 'rollout');
  const verb = memberOf(document, 'shadow') === true ? 'is asked as a shadow' : 'decides';
  const isSame = revision === former ? 'still' : `in the place of ${former}`;
  return [
    `${name}: revision ${paint('bold', revision ?? '')} ${verb}, ${isSame}\n`,
    rollout === undefined
      ? ''
      : `${name}: revision ${textOf(rollout, 'revision')} decides for ${textOf(rollout, 'percent')} % of the callers\n`,
    refused === undefined ? '' : `${paint('red', 'refused')}: ${textOf(refused, 'summary')}\n`,
    ...listOf(refused, 'faults').map((fault) => `  ${fault}\n`),
  ].join('');
}
