import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type Command, Option } from 'commander';

import { CallError } from '../errors.ts';
import type { CliDeps } from './config-options.ts';
import { paint } from './output.ts';

/** Shipped, seen from `src/` and from `dist/`. */
const templates = fileURLToPath(new URL('../../templates/', import.meta.url));

/** The folders of `templates/`, and what each is. */
const kinds: Readonly<Record<string, string>> = {
  'allow-list': 'operations and models that everybody may use',
  roles: 'roles that grant operations and models, and include each other',
  hours: 'windows of time in which models may be used',
  tools: 'tools that a role may bring',
  'data-class': 'models by the class of the data that they may see',
};

/** Stands in a template's texts for the directory that was asked for. */
const placeholder = /\bDIRECTORY\b/g;
/** A name that needs no quotes in a shell. */
const plainName = /^[\w./-]+$/;

/** `opallama init`: a policy to begin with. Overwrites nothing. */
export function registerInit(program: Command, deps: CliDeps): void {
  const list = Object.entries(kinds).map(([name, text]) => `  ${name.padEnd(12)}${text}\n`);
  program
    .command('init [directory]')
    .description('write a policy to begin with: Rego, data, tests and a README; the directory is "policies" by default')
    .addOption(new Option('--template <name>', 'which one').choices(Object.keys(kinds)).default('allow-list'))
    .addHelpText(
      'after',
      `\nTemplates:\n${list.join('')}\nExit codes: 0; 2 a wrong call, a file that is there already.`,
    )
    .action((directory: string | undefined, { template }: { readonly template: string }) => {
      const name = (directory ?? 'policies').replace(/(?<=.)\/+$/, '');
      if (!plainName.test(name) || name.startsWith('-'))
        throw new CallError('Give the directory a name of letters, digits, "_", "-", "." and "/".');
      const files = writeTemplate(join(templates, template), resolve(deps.environment.cwd, name), name);
      deps.write(
        [
          ...files.map((file) => `${paint('green', 'wrote')} ${join(name, file)}\n`),
          '\nNext:\n',
          `  opallama test ${name} --watch                      tests, again with each change\n`,
          `  opallama eval --policy ${name} --as guest /api/tags   what would be decided\n`,
          `  opallama quickstart --policy ${name}               a sidecar with it, to be tried\n`,
          `\n${join(name, 'README.md')} says what it decides, and what stands in data.json.\n`,
        ].join(''),
      );
    });
}

/** @throws CallError before anything is written, where a file is there already */
function writeTemplate(from: string, to: string, name: string): readonly string[] {
  const files = readdirSync(from, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(from.length + 1))
    .sort();
  const present = files.filter((file) => existsSync(join(to, file)));
  if (present.length > 0)
    throw new CallError(`${present.map((file) => join(name, file)).join(', ')} is there already; nothing was written.`);
  for (const file of files) {
    const path = join(to, file);
    const text = readFileSync(join(from, file), 'utf8');
    mkdirSync(dirname(path), { recursive: true });
    // A file that came meanwhile is not overwritten either.
    writeFileSync(path, file.endsWith('.md') ? text.replace(placeholder, () => name) : text, { flag: 'wx' });
  }
  return files;
}
