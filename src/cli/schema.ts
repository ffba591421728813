import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { Argument, type Command } from 'commander';

import type { CliDeps } from './config-options.ts';

/** Published files, seen from `src/` and from `dist/`. */
const schemas = {
  input: new URL('../../policies/schemas/input.json', import.meta.url),
  decision: new URL('../../policies/schemas/decision.json', import.meta.url),
  config: new URL('../../docs/schemas/config.json', import.meta.url),
} as const;

const names = ['input', 'decision', 'config'] as const;

/** `opallama schema`: the JSON Schemas, for editors and checkers. */
export function registerSchema(program: Command, deps: CliDeps): void {
  program
    .command('schema')
    .description('print a JSON Schema: of what a policy is given, of what it may answer, or of the configuration')
    .addArgument(new Argument('<name>').choices(names))
    .option('--path', "print the file's path instead")
    .action((name: (typeof names)[number], options: { readonly path?: true }) => {
      const file = fileURLToPath(schemas[name]);
      deps.write(options.path === true ? `${file}\n` : readFileSync(file, 'utf8'));
    });
}
