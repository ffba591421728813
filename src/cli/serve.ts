import type { Command } from 'commander';

import { loadConfig } from '../config/load.ts';
import { printConfig } from '../config/print.ts';
import { recordSources } from '../workers/sources.ts';
import { addConfigOptions, type CliDeps, type ConfigOptions, nameSources } from './config-options.ts';
import { runApp } from './run-app.ts';

/** `opallama serve`: the sidecar as configured. It never puts anything in the place of the upstream. */
export function registerServe(program: Command, deps: CliDeps): void {
  addConfigOptions(program.command('serve'))
    .description('run the sidecar in front of the configured Ollama')
    .option('--workers <number>', 'workers: processes that serve requests, for several cores')
    .option('--print-config', 'print the configuration that results, secrets masked, and exit')
    .action(async (options: ConfigOptions & { readonly printConfig?: true }) => {
      const { sources, recorded } = recordSources(nameSources(options, deps.environment));
      const config = loadConfig(sources);
      if (options.printConfig === true) {
        deps.write(printConfig(config));
        return;
      }
      const { app } = await runApp(config, {
        searchPath: deps.environment.env['PATH'],
        ...(config.workers !== 1 && { sources: recorded }),
      });
      // As daemons do. In the quick start the signal keeps its meaning: the terminal is gone.
      process.on('SIGHUP', () => void app.reload());
    });
}
