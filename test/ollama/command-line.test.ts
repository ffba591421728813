/** Ollama's own command line below a path prefix. Where it does not sign, it can send no credential, so anonymous callers are let in. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { linesOf, runToEnd } from '../support/ollama/command.ts';
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
    await rm(home, { recursive: true, maxRetries: 10, force: true });
  });

  const ollama = (host: string, ...args: readonly string[]) =>
    runToEnd(pair.parts.binary, args, { ...ollamaEnvironment(home), OLLAMA_HOST: host });
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

  it('runs a model, shows it and lists it among those that run', async () => {
    const ran = await ollama(prefixed(), 'run', 'tiny', 'hi');
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /The quick brown fox jumps over the lazy dog\./);
    assert.deepEqual(
      linesOf(await ollama(prefixed(), 'show', 'tiny')),
      linesOf(await ollama(pair.ollama.url, 'show', 'tiny')),
    );
    assert.match((await ollama(prefixed(), 'ps')).stdout, /^tiny:latest /m);
  });

  it('without anonymous callers configured, gets nothing', async (t) => {
    const strict = await startPair();
    t.after(() => strict.stop());
    const refused = await ollama(`${strict.sidecar.url}/ollama`, 'list');
    assert.deepEqual([refused.code, refused.stdout], [1, '']);
    assert.equal((await strict.sidecar.auditWhere((event) => event.method === 'HEAD')).error, 'missing_credentials');
  });
});
