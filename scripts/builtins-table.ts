/** The tables of `docs/builtins.md`, made of what OPA lists and of what a policy that calls all of it imports. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';

import { unavailableBuiltins } from '../src/decision/engines/compiled/builtins.ts';
import { hostBuiltins } from '../src/decision/engines/compiled/host-builtins.ts';
import { instantiatePolicy } from '../src/decision/engines/compiled/policy-module.ts';
import { createToolchain } from '../src/policy/toolchain/toolchain.ts';

const capabilities = z.object({
  builtins: z.array(
    z.object({
      name: z.string(),
      infix: z.string().optional(),
      deprecated: z.boolean().default(false),
      decl: z.object({ args: z.array(z.unknown()).default([]) }),
    }),
  ),
});
type Builtin = z.infer<typeof capabilities>['builtins'][number];

/** What the compiler itself makes of a call: nothing is left of it to answer. */
const compiledAway: ReadonlySet<string> = new Set(['print', 'rego.metadata.chain', 'rego.metadata.rule']);

/** @returns Markdown */
export async function buildTable(): Promise<string> {
  const builtins = await listBuiltins();
  const imported = await findImported(builtins);
  const groups = new Map<string, { own: string[]; opa: string[] }>();
  for (const { name } of builtins) {
    if (compiledAway.has(name) || Object.hasOwn(hostBuiltins, name) || Object.hasOwn(unavailableBuiltins, name))
      continue;
    const [, family = ''] = /^(.+)\.[^.]+$/.exec(name) ?? [];
    const group = groups.get(family) ?? { own: [], opa: [] };
    groups.set(family, group);
    (imported.has(name) ? group.opa : group.own).push(name.slice(family === '' ? 0 : family.length + 1));
  }
  const rows = [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([family, { own, opa }]) => `| ${span([family])} | ${span(own)} | ${span(opa)} |`);
  return ["| | the compiled policy itself | OPA's own code |", '|---|---|---|', ...rows].join('\n');
}

function span(names: readonly string[]): string {
  return names
    .filter((name) => name !== '')
    .toSorted()
    .map((name) => `\`${name}\``)
    .join(' ');
}

/** Those that Rego v1 lets a rule call by name. */
async function listBuiltins(): Promise<readonly Builtin[]> {
  const cwd = fileURLToPath(new URL('../opa/', import.meta.url));
  const module = ['list', '-m', '-f', '{{.Dir}}', 'github.com/open-policy-agent/opa'];
  const { stdout } = await promisify(execFile)('go', module, { cwd });
  const text = await readFile(join(stdout.trim(), 'capabilities.json'), 'utf8');
  return capabilities
    .parse(JSON.parse(text))
    .builtins.filter(
      ({ name, infix, deprecated }) => !deprecated && infix === undefined && !/^internal\.|^(?:assign|eq)$/.test(name),
    );
}

async function findImported(builtins: readonly Builtin[]): Promise<ReadonlySet<string>> {
  const rules = builtins
    .filter(({ name }) => !compiledAway.has(name) && !Object.hasOwn(unavailableBuiltins, name))
    .map(({ name, decl }, i) => `r${i} if ${name}(${decl.args.map((_, at) => `input.a${at}`).join(', ')})`);
  const toolchain = createToolchain({ path: undefined });
  const { wasm } = await toolchain
    .compile({
      modules: { 'all.rego': `package all\n\n${rules.join('\n\n')}\n` },
      data: {},
      entrypoints: ['all'],
    })
    .finally(() => toolchain.close());
  const module = await WebAssembly.compile(new Uint8Array(wasm));
  const { imports } = instantiatePolicy(module, {
    data: Buffer.from('{}'),
    initialPages: 5,
    maximumPages: 65_536,
    callBuiltin: () => 0,
  });
  return new Set(imports.values());
}
