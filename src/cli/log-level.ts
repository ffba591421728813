import type { Command } from 'commander';

import { type AdminOptions, addAdminOptions, adminNotes, createAdminClient, textOf } from './admin-client.ts';
import type { CliDeps } from './config-options.ts';
import { toJson } from './output.ts';

/** `opallama log-level`: how much a running sidecar logs, and another level without a restart. */
export function registerLogLevel(program: Command, deps: CliDeps): void {
  addAdminOptions(program.command('log-level [level]'))
    .description('say how much a running sidecar logs, or change it')
    .option('--for <duration>', 'after which the configured level is back, such as 10m')
    .addHelpText('after', adminNotes)
    .action(async (level: string | undefined, options: AdminOptions & { readonly for?: string }) => {
      const client = createAdminClient(options, deps.environment);
      const document =
        level === undefined
          ? await client.get('/v1/log-level')
          : (await client.post('/v1/log-level', { level, ...(options.for !== undefined && { for: options.for }) }))
              .document;
      deps.write(options.format === 'json' ? toJson(document) : print(document));
    });
}

function print(document: unknown): string {
  const [level, configured, until] = ['level', 'configured', 'until'].map((name) => textOf(document, name));
  const rest = level === configured ? 'as configured' : `configured: ${configured}`;
  return `${level}, ${rest}${until === '' ? '' : `, back at ${until}`}\n`;
}
