/** The Helm chart: rendered it is what Kustomize makes of the overlays, and values that are wrong are refused. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';

import { describeConfigSchema } from '../../src/config/schema.ts';
import {
  chartRoot,
  noHelm,
  noKustomize,
  readManifests,
  renderHelm,
  renderKustomize,
  workloadsOf,
} from '../support/kubernetes/render.ts';
import { checkManifests } from './invariants.ts';
import { ways, wrong } from './ways.ts';

const publicKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' });
const secrets = (file: string) => (file.endsWith('.pem') ? String(publicKey) : undefined);

for (const [name, args] of Object.entries(ways)) {
  test(`the chart with ${name} keeps Ollama behind opallama, bounded and restricted`, { skip: noHelm }, () => {
    const { code, stdout, stderr } = renderHelm(args);
    assert.equal(code, 0, stderr);
    const manifests = readManifests(stdout);
    checkManifests(manifests, secrets);
    for (const { kind, metadata } of manifests) assert.equal(metadata.namespace, 'ollama', `${kind} ${metadata.name}`);
  });
}

/** What both name in their own way: the ConfigMap, and whether an image's default is written out. */
function podsOf(text: string): unknown {
  const workloads = workloadsOf(readManifests(text));
  return workloads
    .toSorted((a, b) => a.name.length - b.name.length)
    .map(({ name, pod }) => [
      name.replace(/^opallama-gateway$/, 'ollama-gateway'),
      {
        ...pod,
        volumes: pod.volumes.map((volume) => (volume.name === 'config' ? 'config' : volume)),
      },
    ]);
}

for (const [overlay, args] of [
  ['native-sidecar', []],
  ['plain-container', ['--set=sidecar=container']],
  ['gateway', ['--set=mode=gateway,replicas=3']],
] as const) {
  test(`the pods of the chart are those of the overlay ${overlay}`, { skip: noHelm || noKustomize }, () => {
    const args_ = overlay === 'gateway' ? [...args, '--set=resources.requests.cpu=250m'] : args;
    const ours = JSON.stringify(podsOf(renderHelm(args_).stdout));
    const theirs = JSON.stringify(podsOf(renderKustomize(overlay)));
    assert.deepEqual(JSON.parse(ours), JSON.parse(theirs));
  });
}

for (const [value, message] of wrong) {
  test(`the chart refuses --set ${value} with what is wrong`, { skip: noHelm }, () => {
    const { code, stderr } = renderHelm(['--set', value]);
    assert.notEqual(code, 0);
    assert.ok(stderr.includes(message), stderr);
  });
}

const read = (file: string): string => readFileSync(join(chartRoot, file), 'utf8');

test('the chart knows the members of the configuration', () => {
  const { $schema: _draft, ...config } = describeConfigSchema();
  const { properties } = JSON.parse(read('values.schema.json'));
  assert.deepEqual(properties.config, JSON.parse(JSON.stringify(config)), 'run: node scripts/write-config-schema.ts');
});

test('the chart has the version of the package', () => {
  const { version } = JSON.parse(read('../../../package.json'));
  const chart = parse(read('Chart.yaml'));
  assert.deepEqual([chart.version, chart.appVersion], [version, version]);
});
