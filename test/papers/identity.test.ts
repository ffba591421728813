/** The commands of docs/identity.md: a key, a client, and the token that it gets of a sidecar. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readPaper } from '../docs/papers.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { makePlace } from './place.ts';
import { runHere } from './register.ts';
import { follow, stepsOf } from './session.ts';

test('every command of docs/identity.md runs, and prints what it shows', {
  skip: noModule,
  timeout: 600_000,
}, async (t) => {
  const place = await makePlace(t);
  const [, section = ''] = readPaper('docs/identity.md').split('## Client credentials');
  const [, yaml = ''] = /^```yaml\n(.*?)^```$/ms.exec(section) ?? [];
  writeFileSync(join(place.directory, 'opallama.yaml'), yaml);
  const steps = stepsOf(runHere('docs/identity.md'), {
    'curl -s http://127.0.0.1:8080/auth/token': {
      before: `OPALLAMA_SIGNING_SECRET=$(openssl rand -hex 32) stays '"listener":"ops"' opallama serve --policy "$ROOT/policies"`,
    },
  });
  await follow(t, place, steps);
});
