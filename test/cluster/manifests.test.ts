/**
 * Every rendering of k8s/ is taken by a real kube-apiserver: each field known, each value valid, and each pod admitted to a
 * namespace that enforces the standard `restricted`. A Deployment's pods are made by a controller, which is not here, so they
 * are handed in themselves.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';

import { ways, wrong } from '../manifests/ways.ts';
import { type KubernetesCommands, prepareKubernetes } from '../support/kubernetes/binaries.ts';
import { type Cluster, startCluster } from '../support/kubernetes/cluster.ts';
import {
  chartRoot,
  type Manifest,
  overlays,
  readManifests,
  renderHelm,
  renderKustomize,
} from '../support/kubernetes/render.ts';

let cluster: Cluster;
let commands: KubernetesCommands;

before(async () => {
  commands = await prepareKubernetes();
  cluster = await startCluster();
  for (const file of commands.customKinds) done(kubectl(['apply', '--server-side', '-f', file]));
  done(kubectl(['wait', '--for=condition=Established', '--timeout=60s', 'crd', '--all']));
  // As the overlays have it; a dry run makes no namespace for what stands in it.
  done(apply([namespace], []));
});
after(() => cluster.stop());

const namespace = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'ollama', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
};

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[], input = ''): Ended {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    input,
    encoding: 'utf8',
    timeout: 90_000,
    env: { PATH: process.env['PATH'], HOME: cluster.directory, KUBECONFIG: cluster.kubeconfig },
  });
  if (error) throw error;
  return { code: status, stdout, stderr };
}

const kubectl = (args: readonly string[], input?: string): Ended => run(commands.kubectl, args, input);

const dryRun = ['--dry-run=server', '--validate=strict'];

/** JSON is YAML, and a stream of its documents is one of YAML's. */
function apply(objects: readonly object[], flags: readonly string[] = dryRun): Ended {
  return kubectl(['apply', ...flags, '-f', '-'], objects.map((object) => JSON.stringify(object)).join('\n---\n'));
}

function done({ code, stdout, stderr }: Ended): string {
  assert.equal(code, 0, stderr || stdout);
  return stdout;
}

/** The pods that controllers would make. */
function podsOf(manifests: readonly Manifest[]): readonly object[] {
  return manifests
    .filter(({ kind }) => kind === 'Deployment')
    .map(({ metadata, ...rest }) => {
      const spec: unknown = rest['spec'];
      assert.ok(typeof spec === 'object' && spec !== null && 'template' in spec);
      const { template } = spec;
      assert.ok(typeof template === 'object' && template !== null);
      return {
        ...template,
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          ...('metadata' in template && Object(template.metadata)),
          name: metadata.name,
          namespace: 'ollama',
        },
      };
    });
}

function checkTaken(text: string): void {
  const manifests = readManifests(text);
  const answer = apply(manifests);
  const taken = done(answer).trimEnd().split('\n');
  assert.equal(taken.length, manifests.length, answer.stdout);
  for (const line of taken) assert.match(line, /\(server dry run\)$/);
  assert.equal(answer.stderr, '', 'not a warning: nothing that is deprecated or has no effect');
  const pods = podsOf(manifests);
  assert.ok(pods.length > 0);
  const admitted = apply(pods);
  assert.equal(done(admitted).match(/created \(server dry run\)/g)?.length, pods.length);
  assert.equal(admitted.stderr, '');
}

for (const overlay of overlays) {
  test(`the overlay ${overlay} is taken, and its pods are admitted`, () => checkTaken(renderKustomize(overlay)));
}

for (const [name, args] of Object.entries(ways)) {
  test(`the chart with ${name} is taken, and its pods are admitted`, () => {
    const { code, stdout, stderr } = renderHelm(args);
    assert.equal(code, 0, stderr);
    checkTaken(stdout);
  });
}

test('the chart is installed, changed and taken away by Helm', () => {
  const helm = (...args: string[]) => done(run(commands.helm, [...args, '--namespace', 'ollama']));
  helm('install', 'ollama', chartRoot, '--wait=hookOnly');
  assert.match(
    done(kubectl(['get', 'deployment,service,networkpolicy', '-n', 'ollama', '-o', 'name'])),
    /service\/ollama/,
  );
  helm('upgrade', 'ollama', chartRoot, '--wait=hookOnly', '--set=replicas=2');
  assert.equal(done(kubectl(['get', 'deployment', '-n', 'ollama', '-o', 'jsonpath={.items[*].spec.replicas}'])), '2');
  helm('uninstall', 'ollama', '--wait=hookOnly');
  assert.equal(done(kubectl(['get', 'deployment', '-n', 'ollama', '-o', 'name'])), '');
});

test('wrong values are refused before anything reaches the cluster, with what is wrong', () => {
  for (const [value, message] of wrong) {
    const args = ['install', 'wrong', chartRoot, '--namespace', 'ollama', '--set', value];
    const { code, stderr } = run(commands.helm, args);
    assert.notEqual(code, 0, value);
    assert.ok(stderr.includes(message), `${value}: ${stderr}`);
  }
});

// What follows shows that the tests above can fail.

test('a pod that is not restricted is refused, and so are a slip in a member and a value that is none', () => {
  const manifests = readManifests(renderKustomize('native-sidecar'));
  const [pod] = podsOf(manifests);
  const [text, name] = [JSON.stringify(pod), '"readOnlyRootFilesystem"'];
  for (const [what, changed, why] of [
    [
      'privileges',
      text.replaceAll('"allowPrivilegeEscalation":false', '"allowPrivilegeEscalation":true'),
      /violates PodSecurity "restricted/,
    ],
    ['root', text.replaceAll('"runAsNonRoot":true', '"runAsNonRoot":false'), /violates PodSecurity "restricted/],
    ['a slip', text.replaceAll(name, '"readonlyRootFileSystem"'), /unknown field/],
    [
      'a restart policy',
      text.replaceAll('"restartPolicy":"Always"', '"restartPolicy":"Sometimes"'),
      /Unsupported value/,
    ],
  ] as const) {
    assert.notEqual(changed, text, what);
    const { code, stderr } = apply([JSON.parse(changed)]);
    assert.notEqual(code, 0, what);
    assert.match(stderr, why, what);
  }
});
