import type { Command } from 'commander';

import { type AdminOptions, addAdminOptions, adminNotes } from './admin-client.ts';
import { changePolicy } from './change-policy.ts';
import type { CliDeps } from './config-options.ts';

/** `opallama reload`: has a running sidecar look now, and take again what is new after a rollback. */
export function registerReload(program: Command, deps: CliDeps): void {
  addAdminOptions(program.command('reload [policy]'))
    .description('have a running sidecar look at its policy now, and end a hold that a rollback left')
    .addHelpText('after', adminNotes)
    .action((policy: string | undefined, options: AdminOptions) => changePolicy(deps, options, policy, 'reload', {}));
}
