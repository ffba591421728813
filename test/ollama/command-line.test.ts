/**
 * Ollama's own command line below a path prefix. It can send no credential, so anonymous callers are let in. Its other
 * commands ask for routes that are not proxied yet (`run` and `show`: /api/show; `ps`: /api/ps) and say so in our words.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Pair, startPair } from '../support/ollama/pair.ts';
import { ollamaEnvironment } from '../support/ollama/server.ts';

describe('the ollama command with OLLAMA_HOST=http://127.0.0.1:<port>/ollama', () => {
  let pair: Pair;
  let home: string;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'opallama-command-'));
    pair = await startPair({ anonymous: true });
  });
  after(async () => {
    await pair.stop();
    await rm(home, { recursive: true, force: true });
  });

  const ollama = (host: string, ...args: readonly string[]) =>
    run(pair.parts.binary, args, { ...ollamaEnvironment(home), OLLAMA_HOST: host });
  const prefixed = () => `${pair.sidecar.url}/ollama`;

  it('lists the models as it does when it asks Ollama', async () => {
    const listed = await ollama(prefixed(), 'list');
    assert.deepEqual(listed, await ollama(pair.ollama.url, 'list'));
    assert.match(listed.stdout, /^tiny:latest /m);
    await pair.sidecar.auditWhere(
      (event) => event.method === 'HEAD' && event.path === '/' && event.outcome === 'complete',
    );
    await pair.sidecar.auditWhere((event) => event.path === '/api/tags' && event.outcome === 'complete');
  });

  it('learns the version of the server', async () => {
    const version = await ollama(prefixed(), '--version');
    assert.deepEqual(version, await ollama(pair.ollama.url, '--version'));
    assert.equal(version.stdout, 'ollama version is 0.17.4\n');
  });

  for (const args of [['run', 'tiny', 'hi'], ['show', 'tiny'], ['ps']]) {
    it(`is told that there is no route yet for "${args.join(' ')}"`, async () => {
      const refused = await ollama(prefixed(), ...args);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /There is no such route/);
    });
  }

  it('without anonymous callers configured, gets nothing', async (t) => {
    const strict = await startPair();
    t.after(() => strict.stop());
    const refused = await ollama(`${strict.sidecar.url}/ollama`, 'list');
    assert.deepEqual([refused.code, refused.stdout], [1, '']);
    assert.equal((await strict.sidecar.auditWhere((event) => event.method === 'HEAD')).error, 'missing_credentials');
  });
});

/** Runs a command to its end, 20 s at most. */
function run(command: string, args: readonly string[], env: Record<string, string>) {
  return new Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>(
    (resolve, reject) => {
      const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 });
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (chunk: Buffer) => {
        stdout += chunk.toString();
      });
      child.stderr.on('data', (chunk: Buffer) => {
        stderr += chunk.toString();
      });
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, stdout, stderr }));
    },
  );
}
