/** The Dockerfile beside what it has to agree with; `npm run test:image` carries it out. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { parseDockerfile, type Stage } from '../support/image/dockerfile.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const manifest = JSON.parse(read('package.json'));
const stages = new Map(parseDockerfile(read('Dockerfile')).map((stage) => [stage.name, stage]));

function stageOf(name: string): Stage {
  return stages.get(name) ?? assert.fail(`no stage ${name}`);
}

const stepsOf = <K extends Stage['steps'][number]['kind']>(name: string, kind: K) =>
  stageOf(name).steps.filter((step): step is Extract<Stage['steps'][number], { kind: K }> => step.kind === kind);

test('its stages have the Node and the Go that the project has', () => {
  assert.equal(stageOf('build').base, `node:${manifest.devDependencies.node}-bookworm-slim`);
  const [, asked = ''] = /^go (\d+\.\d+)/m.exec(read('opa/go.mod')) ?? [];
  const [, has = ''] = /^golang:(\d+\.\d+)\.\d+-bookworm$/.exec(stageOf('opa').base) ?? [];
  assert.ok(Number(has.split('.')[1]) >= Number(asked.split('.')[1]), `${has} for ${asked}`);
});

test('it builds what opa/ comes to as the project does', () => {
  const script = read('scripts/build-opa.mjs');
  const [, list = ''] = /^const flags = \[(.*)\];$/m.exec(script) ?? [];
  const flags = [...list.matchAll(/'([^']+)'/g)].map(([, flag = '']) => flag);
  assert.ok(flags.length > 2);
  const [module = '', program = ''] = (stepsOf('opa', 'run').at(-1)?.command ?? '').split(/(?<=opa\.wasm) /);
  for (const flag of flags) assert.ok(module.includes(flag) && program.includes(flag), flag);
  assert.match(script, /moduleFlags = \[\.\.\.flags, '-buildmode=c-shared'\]/);
  assert.deepEqual(
    [module, program].map((each) => each.includes('-buildmode=c-shared')),
    [true, false],
  );
  assert.match(module, /^GOOS=wasip1 GOARCH=wasm /);
  const env: Record<string, string> = Object.assign({}, ...stepsOf('opa', 'env').map(({ values }) => values));
  assert.deepEqual(env, { CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' });
});

test('the image runs as the user of the manifests, starts without a shell, and has the version of the package', () => {
  const [user] = stepsOf('final', 'user');
  assert.deepEqual([user?.uid, user?.gid], [65532, 65532]);
  assert.match(read('k8s/kustomize/base/deployment.yaml'), /runAsUser: 65532\n/);
  assert.deepEqual(stepsOf('final', 'run'), []);
  const [label] = stepsOf('final', 'label');
  assert.equal(label?.values['org.opencontainers.image.version'], manifest.version);
  assert.equal(label?.values['org.opencontainers.image.licenses'], manifest.license);
  assert.match(
    read('k8s/kustomize/base/kustomization.yaml'),
    new RegExp(`name: opallama, newTag: ${manifest.version} `),
  );
});

test('what the Dockerfile asks for that is not understood is an error', () => {
  for (const line of ['ADD x /', 'SHELL ["sh"]', 'USER nonroot', 'CMD serve', 'COPY --chown=1 a b', 'RUN --mount=x y'])
    assert.throws(() => parseDockerfile(`FROM scratch\n${line}\n`), Error, line);
});
