/** One version: of the package, the command, the image, the manifests, the chart and the papers. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

import { readPaper } from '../docs/papers.ts';
import { parseDockerfile } from '../support/image/dockerfile.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const { version } = JSON.parse(read('package.json'));

test('opallama --version, the lock file, the image, the manifests and the chart say the version of the package', () => {
  assert.match(version, /^\d+\.\d+\.\d+$/);
  const printed = execFileSync(process.execPath, [join(root, 'bin/opallama.js'), '--version'], { encoding: 'utf8' });
  const lock = JSON.parse(read('package-lock.json'));
  const labels = parseDockerfile(read('Dockerfile')).flatMap(({ steps }) =>
    steps.flatMap((step) => (step.kind === 'label' ? [step.values['org.opencontainers.image.version']] : [])),
  );
  const chart = parse(read('k8s/helm/opallama/Chart.yaml'));
  const { images } = parse(read('k8s/kustomize/base/kustomization.yaml'));
  const tags = images.flatMap((image: Record<string, string>) =>
    image['name'] === 'opallama' ? [image['newTag']] : [],
  );
  const said = { command: printed.trim(), lock: lock.version, root: lock.packages[''].version, labels, tags };
  assert.deepEqual(said, { command: version, lock: version, root: version, labels: [version], tags: [version] });
  assert.deepEqual([chart.version, chart.appVersion], [version, version]);
});

test('papers and the workflow of the examples name no other version', () => {
  for (const file of ['README.md', 'docs/kubernetes.md', 'docs/policies.md', 'examples/github-action/policy.yml']) {
    const named = [...readPaper(file).matchAll(/\bopallama[:@](\d+\.\d+\.\d+)/g)].map(([, each]) => each);
    assert.deepEqual(
      [...new Set(named)].filter((each) => each !== version),
      [],
      file,
    );
  }
});
