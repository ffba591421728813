/** The blocks of docs/clients.md, run as they stand there but for the address and the name of the model. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { markedBlocks, readPaper, root } from '../docs/papers.ts';
import { runToEnd } from '../support/ollama/command.ts';
import { writeOllamaKey } from '../support/ollama/key.ts';
import { type Pair, startPair } from '../support/ollama/pair.ts';
import { ollamaEnvironment } from '../support/ollama/server.ts';

const blocks = markedBlocks(readPaper('docs/clients.md'), 'client');

describe('docs/clients.md', () => {
  let pair: Pair;
  let home: string;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'opallama-paper-'));
    const line = await writeOllamaKey(home);
    pair = await startPair({
      identity: { ollama_keys: [{ id: 'somebody', public_key: line, roles: ['tester'] }] },
    });
    await mkdir(join(home, 'bin'));
    await symlink(pair.parts.binary, join(home, 'bin', 'ollama'));
  });
  after(async () => {
    await pair.stop();
    await rm(home, { recursive: true, maxRetries: 10, force: true });
  });

  it('has a block for each client that can be run here', () => assert.equal(blocks.size, 10));

  for (const [name, block] of blocks) {
    it(`gets an answer by ${name}`, async () => {
      const before = pair.sidecar.audit.length;
      const { code, stdout, stderr } = await runBlock(name.split(' ')[0] ?? '', block);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /The quick brown fox jumps over the lazy dog\./);
      const ofThis = () => pair.sidecar.audit.slice(before);
      await pair.sidecar.auditWhere((event) => ofThis().includes(event) && event.model === 'tiny');
      assert.ok(ofThis().every((event) => event.outcome === 'complete' && event.principal === 'somebody'));
    });
  }

  function runBlock(language: string, block: string) {
    const stdin = block.replaceAll('http://127.0.0.1:8080', pair.sidecar.url).replaceAll('llama3.2', 'tiny');
    const [command, args]: [string, string[]] =
      language === 'js'
        ? [process.execPath, ['--input-type=module', '-']]
        : language === 'python'
          ? [pair.parts.python, ['-']]
          : ['sh', ['-e']];
    const environment = ollamaEnvironment(home);
    const env = {
      ...environment,
      PATH: `${join(home, 'bin')}:${environment['PATH']}`,
      OPALLAMA_TOKEN: pair.sidecar.token,
    };
    return runToEnd(command, args, env, { stdin, cwd: root });
  }
});
