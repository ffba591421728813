/** README.md from its first command to its last, in a checkout, and what docs/clients.md asks of the same sidecar. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { markedBlocks, readPaper } from '../docs/papers.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { makePlace } from './place.ts';
import { runHere } from './register.ts';
import { follow, stays, stepsOf } from './session.ts';

const readme = readPaper('README.md');

test('every command of README.md runs, in its order, and prints what it shows', {
  skip: noModule,
  timeout: 600_000,
}, async (t) => {
  const place = await makePlace(t, {
    checkout: true,
    // The quick start finds a port by itself, and an Ollama where one is.
    replace: [[/^(stays .*npm start)$/gm, '$1 -- --listen-data 127.0.0.1:8080 --listen-ops 127.0.0.1:9464']],
    env: { OLLAMA_HOST: '127.0.0.1:9' },
  });
  const files = [
    ...markedBlocks(readme, 'own-rule'),
    ['opallama.yaml', [...markedBlocks(readme, 'config').values()][0]],
  ];
  for (const [file = '', text = ''] of files) {
    mkdirSync(dirname(join(place.session, file)), { recursive: true });
    writeFileSync(join(place.session, file), place.translate(text));
  }
  const blocks = [...runHere('README.md'), ...runHere('docs/clients.md')];
  const loadedAgain = `until [ $(grep -c 'policy loaded' "$err") -ge 2 ]; do sleep 0.1; done`;
  const steps = stepsOf(blocks, {
    'npm ci': { ways: { 'npm start': stays('Ctrl.C stops it') } },
    'curl -N': { before: `TOKEN=$(sed -n 's/^  TOKEN=//p' "$err")` },
    // What the paper has its reader write.
    'curl http://127.0.0.1:8080/api/chat': {
      before: `cp "$SESSION"/policies/ollama/authz/tools*.rego policies/ollama/authz/; ${loadedAgain}`,
    },
    'export OPALLAMA_JWT_SECRET': {
      before: 'stop; cp "$SESSION/opallama.yaml" .',
      ways: { 'npm run -s opallama -- serve --config opallama.yaml': stays('"listener":"ops"') },
    },
  });
  await follow(t, place, steps);
});
