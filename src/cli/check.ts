import type { Command } from 'commander';

import { loadPolicy } from '../active-policy.ts';
import { addConfigOptions, type CliDeps, type ConfigOptions, readConfig } from './config-options.ts';

/** `opallama check`: all that `serve` does before it listens, for CI and for before a restart. */
export function registerCheck(program: Command, deps: CliDeps): void {
  addConfigOptions(program.command('check'))
    .description('validate the configuration and the policy, run its tests, and exit')
    .action(async (options: ConfigOptions) => {
      const config = readConfig(options, deps.environment);
      const policy = await loadPolicy(config, deps.environment.env['PATH']);
      for (const { config: member, prepared, loaded } of policy.members) {
        const { path, entrypoint } = member;
        const tests = prepared.kind === 'directory' ? `${prepared.testsPassed} tests passed` : `a ${prepared.kind}`;
        deps.write(
          `${path}: revision ${loaded.revision}, entrypoint ${entrypoint} (${loaded.shape(entrypoint)}), ${tests}\n`,
        );
      }
      deps.write('Configuration and policy are in order.\n');
      await policy.close();
    });
}
