/** The other reader: Ollama's own Go packages in a program of ours (`judge/`), built once into the tests' cache. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { RequestType } from '../../src/input/routes.ts';
import { buildOnce, nameByContent, ollamaVersion, run } from '../support/ollama/cache.ts';

export interface Document {
  readonly type: RequestType;
  readonly bytes: Buffer;
}

export interface Judge {
  /** @returns what the judge says of each, in their order: its JSON, not yet parsed. */
  judge(documents: readonly Document[]): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** @throws Error that says what to install */
async function buildJudge(): Promise<string> {
  const go = /^go version go1\.(\d+)/.exec(spawnSync('go', ['version'], { encoding: 'utf8' }).stdout ?? '');
  if (go === null || Number(go[1]) < 24) {
    throw new Error(`The judge reads with Ollama ${ollamaVersion}'s own packages: install Go 1.24 or newer.`);
  }
  const source = join(import.meta.dirname, 'judge');
  const files = (await readdir(source)).sort().map((name) => join(source, name));
  const dir = await buildOnce(await nameByContent('judge', files), 'the judge of parsing', async (out) => {
    await run('go', ['build', '-trimpath', '-o', join(out, 'judge'), '.'], {
      cwd: source,
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' },
    });
  });
  return join(dir, 'judge');
}

interface Waiting {
  readonly count: number;
  readonly answers: string[];
  readonly resolve: (answers: readonly string[]) => void;
  readonly reject: (error: Error) => void;
}

/** Starts a judge of these types of request; it ends with `close`. */
export async function startJudge(types: readonly RequestType[]): Promise<Judge> {
  const child = spawn(await buildJudge(), types, { stdio: ['pipe', 'pipe', 'pipe'] });
  const waiting: Waiting[] = [];
  const closed = watch(child, waiting);
  readAnswers(child, waiting);
  return {
    judge(documents) {
      if (documents.length === 0) return Promise.resolve([]);
      return new Promise((resolve, reject) => {
        waiting.push({ count: documents.length, answers: [], resolve, reject });
        child.stdin.write(Buffer.concat(documents.flatMap(({ type, bytes }) => frame(types.indexOf(type), bytes))));
      });
    },
    async close() {
      child.stdin.end();
      await closed;
    },
  };
}

function frame(type: number, bytes: Buffer): readonly [Buffer, Buffer] {
  const head = Buffer.alloc(5);
  head.writeUInt8(type);
  head.writeUInt32BE(bytes.length, 1);
  return [head, bytes];
}

function watch(child: ChildProcessWithoutNullStreams, waiting: Waiting[]): Promise<void> {
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4000);
  });
  // A judge that has died shows as its close, with what it said.
  child.stdin.on('error', () => undefined);
  return new Promise((resolve) => {
    child.on('close', (code) => {
      for (const one of waiting) one.reject(new Error(`The judge ended with code ${code}: ${said}`));
      resolve();
    });
  });
}

function readAnswers(child: ChildProcessWithoutNullStreams, waiting: Waiting[]): void {
  let rest: Buffer = Buffer.alloc(0);
  child.stdout.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= 4) {
      const end = at + 4 + rest.readUInt32BE(at);
      if (end > rest.length) break;
      const first = waiting[0];
      if (first === undefined) throw new Error('The judge answers what nobody asked.');
      first.answers.push(rest.toString('utf8', at + 4, end));
      if (first.answers.length === first.count) {
        waiting.shift();
        first.resolve(first.answers);
      }
      at = end;
    }
    rest = rest.subarray(at);
  });
}
