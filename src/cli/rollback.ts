import type { Command } from 'commander';

import { type AdminOptions, addAdminOptions, adminNotes } from './admin-client.ts';
import { changePolicy } from './change-policy.ts';
import type { CliDeps } from './config-options.ts';

/** `opallama rollback`: the former revision decides again, and stays until somebody says otherwise. */
export function registerRollback(program: Command, deps: CliDeps): void {
  addAdminOptions(program.command('rollback [policy]'))
    .description('have a running sidecar go back to the former revision of its policy, and hold it there')
    .option('--to <revision>', 'a revision that is kept; the one before by default')
    .addHelpText('after', `\nWhat is new waits from then on, until opallama reload.\n${adminNotes}`)
    .action((policy: string | undefined, { to, ...options }: AdminOptions & { readonly to?: string }) =>
      changePolicy(deps, options, policy, 'rollback', to === undefined ? {} : { revision: to }),
    );
}
