/** docs/delivery.md is followed as a reader would: every block of it in one shell, in an empty directory. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readPaper, root } from '../docs/papers.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { findFreePort } from '../support/free-port.ts';

/** The commands of a block, and the lines that the paper shows below them. */
interface Block {
  readonly commands: string;
  readonly shown: readonly string[];
}

const paper = readPaper('docs/delivery.md');
const blocks: readonly Block[] = [
  ...paper.matchAll(/^<!-- test: walk -->\n```sh\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?/gms),
].map(([, commands = '', output = '']) => ({ commands, shown: output.split('\n').filter((line) => line !== '') }));

const missing = ['bash', 'git', 'openssl', 'curl', 'python3'].filter(
  (command) => spawnSync('sh', ['-c', `command -v ${command}`]).status !== 0,
);
const skip = noModule || (missing.length > 0 && `not here: ${missing.join(', ')}`);

test('every command of docs/delivery.md runs, from a commit to a rollback, and prints what it shows', {
  skip,
  timeout: 540_000,
}, async (t) => {
  assert.ok(blocks.length > 8);
  const place = await makePlace(t);
  const commands = place.translate(blocks.map(({ commands: each }) => `${each}\n${mark}\n`).join(''));
  // One shell for all of it: functions, variables and what runs in the background stay.
  const shell = spawn('bash', ['-e'], { cwd: place.directory, env: place.env, detached: true });
  t.after(() => killGroup(shell.pid));
  let [stdout, stderr] = ['', ''];
  shell.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  shell.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  shell.stdin.end(commands);
  const closed = once(shell, 'close');
  const [code] = await once(shell, 'exit');
  // Where it failed halfway, what it left in the background; a group of its own, which nobody else is in.
  killGroup(shell.pid);
  await closed;
  const printed = stdout.split(`${marker}\n`);
  for (const [index, { commands: block, shown }] of blocks.entries()) {
    const lines = (printed[index] ?? '').split('\n').map(abstract);
    let from = 0;
    for (const line of shown) {
      const at = lines.indexOf(abstract(place.translate(line)), from);
      assert.ok(
        at >= 0,
        `${line}\n--- is not printed, in its order, by\n${block}--- but\n${printed[index]}\n${stderr}`,
      );
      from = at + 1;
    }
  }
  const log = () => readFileSync(join(place.directory, 'walk/sidecar.log'), 'utf8');
  assert.equal(code, 0, `${stdout}\n${stderr}\n${log()}`);
});

function killGroup(pid: number | undefined): void {
  if (pid !== undefined) spawnSync('kill', ['--', `-${pid}`]);
}

const marker = '--- end of a block ---';
const mark = `echo '${marker}'`;

/** What differs from run to run: names of revisions, times, sizes; and how wide that makes columns. */
function abstract(line: string): string {
  return line
    .replace(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replace(/\b[0-9a-f]{7,12}\b/g, '<revision>')
    .replace(/\b[0-9a-f]{8}-[0-9a-f-]{27}\b/g, '<id>')
    .replace(/\b[\d.]+ (?=KiB|ms|s\b)/g, '<number> ')
    .replace(/ {2,}/g, '  ')
    .trimEnd();
}

interface Place {
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
  /** The addresses of the paper to free ones: several tests share a machine. */
  translate(text: string): string;
}

async function makePlace(t: TestContext): Promise<Place> {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-walk-'));
  t.after(() => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  writeFileSync(
    join(bin, 'opallama'),
    `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'bin/opallama.js')}' "$@"\n`,
  );
  chmodSync(join(bin, 'opallama'), 0o755);

  // Stands in for an Ollama with the model that is asked for.
  const ollama = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
  }).listen(0, '127.0.0.1');
  await once(ollama, 'listening');
  t.after(() => {
    ollama.close();
    ollama.closeAllConnections();
  });
  const ports = new Map<string, number>();
  for (const port of ['8000', '8080', '9464', '9191']) ports.set(port, await findFreePort());
  const inherited = Object.entries(process.env).filter(([name]) => !/^(OPALLAMA|GIT)_/.test(name));
  return {
    directory,
    env: {
      ...Object.fromEntries(inherited),
      PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`,
      HOME: directory,
      NO_COLOR: '1',
      GIT_AUTHOR_NAME: 'walk',
      GIT_AUTHOR_EMAIL: 'walk@example.com',
      GIT_COMMITTER_NAME: 'walk',
      GIT_COMMITTER_EMAIL: 'walk@example.com',
      OLLAMA_HOST: `127.0.0.1:${portOf(ollama)}`,
      OPALLAMA_LISTEN__DATA: `127.0.0.1:${ports.get('8080')}`,
      OPALLAMA_LISTEN__OPS: `127.0.0.1:${ports.get('9464')}`,
      OPALLAMA_LISTEN__ADMIN: `127.0.0.1:${ports.get('9191')}`,
    },
    translate: (text) =>
      text.replace(/(?<=127\.0\.0\.1:|http\.server )(\d{4})\b/g, (port) => String(ports.get(port) ?? port)),
  };
}

function portOf(server: { address(): unknown }): number {
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null && 'port' in address);
  return Number(address.port);
}
