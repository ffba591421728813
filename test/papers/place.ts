/** A directory that nobody else has, in which a paper is followed, with the addresses of the paper led to free ports. */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';
import { createPracticeUpstream } from '../../src/upstream/practice/server.ts';
import { root } from '../docs/papers.ts';
import { findFreePort } from '../support/free-port.ts';

export interface Place {
  readonly directory: string;
  /** For what is no part of the paper; its files `*.log`, `*.out` and `*.err` are shown where something fails. */
  readonly session: string;
  readonly env: NodeJS.ProcessEnv;
  /** The addresses of the paper to those of this place: several tests share a machine. */
  translate(text: string): string;
}

export interface PlaceOptions {
  /** The port of what stands in for Ollama; by default the practice upstream, started here. */
  readonly ollama?: string;
  /** A checkout without `.git`, in which policies may be changed. */
  readonly checkout?: boolean;
  /** Stands in for a command that can't be had here: its shell. */
  readonly standIns?: Readonly<Record<string, string>>;
  /** Beside the addresses: what else differs here. */
  readonly replace?: readonly (readonly [RegExp, string])[];
  readonly env?: Readonly<Record<string, string>>;
}

export async function makePlace(t: TestContext, options: PlaceOptions = {}): Promise<Place> {
  const session = mkdtempSync(join(tmpdir(), 'opallama-paper-'));
  t.after(() => rmSync(session, { recursive: true, force: true, maxRetries: 10 }));
  const directory = join(session, 'here');
  if (options.checkout === true) copyCheckout(directory);
  else mkdirSync(directory);
  const bin = join(session, 'bin');
  mkdirSync(bin);
  const commands = {
    opallama: `exec '${process.execPath}' '${join(root, 'bin/opallama.js')}' "$@"`,
    ...options.standIns,
  };
  for (const [name, script] of Object.entries(commands)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  const ports = new Map([['11434', options.ollama ?? (await startPractice(t))]]);
  for (const port of ['8000', '8080', '9464', '9191']) ports.set(port, String(await findFreePort()));
  const inherited = Object.entries(process.env).filter(([name]) => !/^(?:OPALLAMA|OLLAMA|GIT|npm|NODE)_/.test(name));
  return {
    directory,
    session,
    env: {
      ...Object.fromEntries(inherited),
      PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`,
      HOME: session,
      SESSION: session,
      ROOT: root,
      NO_COLOR: '1',
      GIT_AUTHOR_NAME: 'reader',
      GIT_AUTHOR_EMAIL: 'reader@example.com',
      GIT_COMMITTER_NAME: 'reader',
      GIT_COMMITTER_EMAIL: 'reader@example.com',
      OLLAMA_HOST: `127.0.0.1:${ports.get('11434')}`,
      OPALLAMA_LISTEN__DATA: `127.0.0.1:${ports.get('8080')}`,
      OPALLAMA_LISTEN__OPS: `127.0.0.1:${ports.get('9464')}`,
      OPALLAMA_LISTEN__ADMIN: `127.0.0.1:${ports.get('9191')}`,
      ...options.env,
    },
    translate: (text) =>
      (options.replace ?? [])
        .reduce((each, [pattern, by]) => each.replace(pattern, by), text)
        .replace(/(?<=127\.0\.0\.1:|http\.server )(\d{4,5})\b/g, (port) => ports.get(port) ?? port),
  };
}

async function startPractice(t: TestContext): Promise<string> {
  const practice = await createPracticeUpstream({ frameDelayMs: 1 });
  t.after(() => practice.close());
  return practice.url.port;
}

/** What is changed is copied, the rest leads to the checkout that is tested. */
function copyCheckout(directory: string): void {
  mkdirSync(directory);
  for (const name of ['package.json', 'bin', 'src', 'policies', 'examples', 'templates', 'docs', 'scripts', 'test'])
    cpSync(join(root, name), join(directory, name), { recursive: true });
  cpSync(join(root, 'opa'), join(directory, 'opa'), {
    recursive: true,
    filter: (from) => from !== join(root, 'opa/build'),
  });
  symlinkSync(join(root, 'opa/build'), join(directory, 'opa/build'));
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
}
