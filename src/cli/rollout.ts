import type { Command } from 'commander';

import { CallError } from '../errors.ts';
import { type AdminOptions, addAdminOptions, adminNotes } from './admin-client.ts';
import { changePolicy } from './change-policy.ts';
import type { CliDeps } from './config-options.ts';

/** `opallama rollout`: how many of the callers the new revision decides for. */
export function registerRollout(program: Command, deps: CliDeps): void {
  addAdminOptions(program.command('rollout [policy]'))
    .description('say how many of the callers the new revision of a policy decides for')
    .requiredOption('--percent <number>', '0 to 100; at 100 the rollout is over')
    .addHelpText('after', adminNotes)
    .action((policy: string | undefined, { percent, ...options }: AdminOptions & { readonly percent: string }) => {
      if (!/^(100|\d{1,2}(\.\d{1,2})?)$/.test(percent))
        throw new CallError('--percent: write a number from 0 to 100, with at most two decimals');
      return changePolicy(deps, options, policy, 'rollout', { percent: Number(percent) });
    });
}
