/** Ollama's own command line, known by the key that it signs with (OLLAMA_AUTH=1), below a path prefix and at the root. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AuditEvent } from '../../src/types.ts';
import { linesOf, runToEnd } from '../support/ollama/command.ts';
import { writeOllamaKey } from '../support/ollama/key.ts';
import { type Pair, startPair } from '../support/ollama/pair.ts';
import { ollamaEnvironment } from '../support/ollama/server.ts';

/** A home with a key pair in it. */
async function makeHome() {
  const home = await mkdtemp(join(tmpdir(), 'opallama-key-'));
  return { home, line: await writeOllamaKey(home) };
}

describe('the ollama command with OLLAMA_AUTH=1', () => {
  let pair: Pair;
  let alice: Awaited<ReturnType<typeof makeHome>>;
  let stranger: Awaited<ReturnType<typeof makeHome>>;
  before(async () => {
    [alice, stranger] = [await makeHome(), await makeHome()];
    pair = await startPair({
      identity: { ollama_keys: [{ id: 'alice', public_key: alice.line, roles: ['tester'] }] },
    });
  });
  after(async () => {
    await pair.stop();
    for (const { home } of [alice, stranger]) await rm(home, { recursive: true, maxRetries: 10, force: true });
  });

  const signed = (home: string, host: string, ...args: readonly string[]) =>
    runToEnd(pair.parts.binary, args, { ...ollamaEnvironment(home), OLLAMA_HOST: host, OLLAMA_AUTH: '1' });
  const byAlice = (event: AuditEvent) => event.principal === 'alice' && event.outcome === 'complete';

  for (const [where, prefix] of [
    ['below a prefix', '/ollama'],
    ['at the root', ''],
  ] as const) {
    it(`lists models, shows one, lists those that run, and runs one, ${where}`, async () => {
      const host = `${pair.sidecar.url}${prefix}`;
      const listed = await signed(alice.home, host, 'ls');
      assert.deepEqual(listed, await signed(alice.home, pair.ollama.url, 'ls'));
      assert.match(listed.stdout, /^tiny:latest /m);

      const ran = await signed(alice.home, host, 'run', 'tiny', 'hello');
      assert.equal(ran.code, 0, ran.stderr);
      assert.match(ran.stdout, /The quick brown fox jumps over the lazy dog\./);

      const shown = await signed(alice.home, host, 'show', 'tiny');
      assert.deepEqual(linesOf(shown), linesOf(await signed(alice.home, pair.ollama.url, 'show', 'tiny')));
      assert.match(shown.stdout, /Model/);

      const running = await signed(alice.home, host, 'ps');
      assert.equal(running.code, 0, running.stderr);
      assert.match(running.stdout, /^tiny:latest /m);

      for (const path of ['/', '/api/tags', '/api/show', '/api/generate', '/api/ps'])
        await pair.sidecar.auditWhere((event) => byAlice(event) && event.path === path);
    });
  }

  it('with a key that is not listed, is refused and says little; the record says why', async () => {
    const refused = await signed(stranger.home, `${pair.sidecar.url}/ollama`, 'ls');
    assert.deepEqual([refused.code, refused.stdout], [1, '']);
    assert.match(refused.stderr, /something went wrong/);
    const { principal, method } = await pair.sidecar.auditWhere((event) => event.error === 'invalid_credentials');
    assert.deepEqual([principal, method], [undefined, 'HEAD']);
  });

  it('without OLLAMA_AUTH sends no credential and is refused', async () => {
    const refused = await runToEnd(pair.parts.binary, ['ls'], {
      ...ollamaEnvironment(alice.home),
      OLLAMA_HOST: `${pair.sidecar.url}/ollama`,
    });
    assert.deepEqual([refused.code, refused.stdout], [1, '']);
    await pair.sidecar.auditWhere((event) => event.error === 'missing_credentials');
  });
});
