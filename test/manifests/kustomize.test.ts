/** Every overlay of k8s/kustomize, rendered: what must hold of each, and what each is there for. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import {
  kustomizeRoot,
  noKustomize,
  overlays,
  readManifests,
  renderKustomize,
  workloadsOf,
} from '../support/kubernetes/render.ts';
import { checkManifests } from './invariants.ts';

const skip = noKustomize;
const publicKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' });
const secrets = (file: string) => (file.endsWith('.pem') ? String(publicKey) : undefined);

function render(overlay: string) {
  const manifests = readManifests(renderKustomize(overlay));
  const opallama = workloadsOf(manifests)
    .flatMap(({ containers }) => containers)
    .find(({ name }) => name === 'opallama');
  assert.ok(opallama !== undefined);
  return { manifests, workloads: workloadsOf(manifests), opallama };
}

for (const overlay of overlays) {
  test(`the overlay ${overlay} keeps Ollama behind the sidecar, bounded, restricted, and in its own namespace`, {
    skip,
  }, () => {
    const { manifests } = render(overlay);
    checkManifests(manifests, secrets);
    for (const { kind, metadata } of manifests)
      if (kind !== 'Namespace') assert.equal(metadata.namespace, 'ollama', `${kind} ${metadata.name}`);
    const [namespace] = manifests.filter(({ kind }) => kind === 'Namespace');
    assert.equal(namespace?.metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted');
  });
}

test('the native sidecar starts before Ollama and is stopped after it', { skip }, () => {
  const { workloads } = render('native-sidecar');
  const [pod] = workloads.map((workload) => workload.pod);
  assert.deepEqual(
    pod?.initContainers.map(({ name, restartPolicy }) => [name, restartPolicy]),
    [['opallama', 'Always']],
  );
  assert.deepEqual(
    pod?.containers.map(({ name }) => name),
    ['ollama'],
  );
});

test('the plain container stands beside Ollama, without what only a native sidecar may have', { skip }, () => {
  const [pod] = render('plain-container').workloads.map((workload) => workload.pod);
  assert.deepEqual(pod?.initContainers, []);
  assert.deepEqual(
    pod?.containers.map(({ name, restartPolicy }) => [name, restartPolicy]),
    [
      ['ollama', undefined],
      ['opallama', undefined],
    ],
  );
});

test('the ConfigMap with the policy holds the template that it was made from', { skip }, () => {
  const { manifests } = render('policy-configmap');
  const map = manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'opallama-policy');
  const read = (file: string) => readFileSync(join(kustomizeRoot, '../../templates/allow-list', file), 'utf8');
  assert.deepEqual(map?.['data'], {
    'authz.rego': read('ollama/authz.rego'),
    'authz_test.rego': read('ollama/authz_test.rego'),
    'data.json': read('data.json'),
  });
});

test('the bundle is signed, and the last good one is kept', { skip }, () => {
  const { opallama } = render('policy-bundle');
  const env = new Map(opallama.env.map(({ name, value }) => [name, value]));
  assert.match(env.get('OPALLAMA_POLICY__PATH') ?? '', /^https:/);
  assert.ok(env.has('OPALLAMA_POLICY__SIGNATURE__PUBLIC_KEY_FILE'));
  assert.ok(opallama.volumeMounts.some(({ mountPath }) => mountPath === env.get('OPALLAMA_POLICY__STATE_DIR')));
});

test('the gateway stands before pods of Ollama that let nobody else in', { skip }, () => {
  const { workloads } = render('gateway');
  assert.deepEqual(
    workloads.map(({ name, containers }) => [name, containers.map((container) => container.name)]),
    [
      ['ollama', ['ollama']],
      ['opallama-gateway', ['opallama']],
    ],
  );
});

test('the monitored overlay has the monitor of pods and the autoscaler', { skip }, () => {
  const kinds = render('monitored').manifests.map(({ kind }) => kind);
  for (const kind of ['PodMonitor', 'PrometheusRule', 'HorizontalPodAutoscaler']) assert.ok(kinds.includes(kind), kind);
});
