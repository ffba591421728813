import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import type { Command } from 'commander';
import { create } from 'tar';

import { CallError } from '../errors.ts';
import { type AdminOptions, addAdminOptions, adminNotes, createAdminClient, memberOf } from './admin-client.ts';
import type { CliDeps } from './config-options.ts';
import { toJson } from './output.ts';

/** `opallama support-bundle`: what helps to find a fault from afar, in one file. */
export function registerSupportBundle(program: Command, deps: CliDeps): void {
  addAdminOptions(program.command('support-bundle'))
    .description('write a file for whoever is to find a fault: configuration, state, metrics and log, without secrets')
    .option('--output <file>', 'where to write it; opallama-support-<time>.tar.gz by default')
    .addHelpText('after', adminNotes)
    .action(async (options: AdminOptions & { readonly output?: string }) => {
      const client = createAdminClient(options, deps.environment);
      const files = readFiles(await client.get('/v1/support'));
      const name = `opallama-support-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`;
      const output = resolve(deps.environment.cwd, options.output ?? `${name}.tar.gz`);
      await writeNew(output, await pack(name, files));
      deps.write(
        options.format === 'json'
          ? toJson({ output, files: [...files.keys()] })
          : `${output}: ${[...files.keys()].join(', ')}. Read it before you send it.\n`,
      );
    });
}

function readFiles(document: unknown): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const [name, text] of Object.entries(Object(memberOf(document, 'files')))) {
    // Whoever answers there must not choose where they are unpacked to.
    if (typeof text === 'string' && /^[a-z]+\.[a-z]+$/.test(name)) files.set(name, text);
  }
  if (files.size === 0) throw new CallError('The sidecar gave nothing to write; is it of this version?');
  return files;
}

async function pack(name: string, files: ReadonlyMap<string, string>): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), 'opallama-support-'));
  try {
    for (const [file, text] of files) await writeFile(join(folder, file), text, { mode: 0o600 });
    const archive = join(folder, 'archive');
    await create({ gzip: true, file: archive, cwd: folder, prefix: name, portable: true }, [...files.keys()]);
    return await readFile(archive);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeNew(file: string, bytes: Uint8Array): Promise<void> {
  try {
    const handle = await open(file, 'wx', 0o600);
    await handle.writeFile(bytes);
    await handle.close();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    throw new CallError(
      code === 'EEXIST' ? `${file} is there already; choose another one by --output.` : `${file}: ${String(error)}`,
    );
  }
}
