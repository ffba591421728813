/** docs/delivery.md is followed as a reader would: every block of the walk in one shell, in an empty directory. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';
import { shellBlocks } from '../papers/blocks.ts';
import { makePlace } from '../papers/place.ts';
import { follow } from '../papers/session.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { portOf } from '../support/port-of.ts';

const blocks = shellBlocks('docs/delivery.md').filter(({ mark }) => mark === 'walk');

const missing = ['bash', 'git', 'openssl', 'curl', 'python3'].filter(
  (command) => spawnSync('sh', ['-c', `command -v ${command}`]).status !== 0,
);
const skip = noModule || (missing.length > 0 && `not here: ${missing.join(', ')}`);

test('every command of docs/delivery.md runs, from a commit to a rollback, and prints what it shows', {
  skip,
  timeout: 540_000,
}, async (t) => {
  assert.ok(blocks.length > 8);
  const place = await makePlace(t, {
    ollama: await startOllama(t),
    // What a reader takes up by `opallama reload` the sidecar would take up by itself before it, where commands are slow.
    replace: [[/poll: 5s/g, 'poll: 10m']],
  });
  await follow(
    t,
    place,
    blocks.map((block) => ({ block })),
  );
});

/** Stands in for an Ollama with the model that is asked for. @returns its port */
async function startOllama(t: TestContext): Promise<string> {
  const ollama = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
  }).listen(0, '127.0.0.1');
  await once(ollama, 'listening');
  t.after(() => {
    ollama.close();
    ollama.closeAllConnections();
  });
  const port = portOf(ollama);
  return String(port);
}
