/** What holds of every way in which the manifests can be rendered. */
import assert from 'node:assert/strict';
import { posix } from 'node:path';
import { z } from 'zod';

import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/configured/config.ts';
import { type Manifest, type Workload, workloadsOf } from '../support/kubernetes/render.ts';

const secret = 'a'.repeat(64);

/** Of a Secret, by the name of its file; a key in PEM is made by the test that asks for one. */
export type Secrets = (file: string) => string | undefined;

export function checkManifests(manifests: readonly Manifest[], secrets: Secrets = () => undefined): void {
  const workloads = workloadsOf(manifests);
  assert.ok(workloads.length > 0);
  for (const workload of workloads) checkRestricted(workload);
  for (const workload of workloads) checkProbes(workload);
  checkServices(manifests, workloads);
  checkNetwork(manifests, workloads);
  assert.deepEqual(
    manifests.filter(({ kind }) => kind === 'Secret').map(({ metadata }) => metadata.name),
    [],
  );
  const sidecars = workloads.filter(({ containers }) => containers.some(({ name }) => name === 'opallama'));
  assert.equal(sidecars.length, 1);
  for (const sidecar of sidecars) checkSidecar(sidecar, readConfig(manifests, sidecar, secrets));
}

/** As `restricted` of the Pod Security Standards has it, and more: read-only roots, bounds, nothing of Kubernetes' own. */
function checkRestricted({ name, pod, containers }: Workload): void {
  assert.equal(pod.automountServiceAccountToken, false, name);
  assert.equal(pod.enableServiceLinks, false, name);
  assert.equal(pod.securityContext['runAsNonRoot'], true, name);
  assert.deepEqual(pod.securityContext['seccompProfile'], { type: 'RuntimeDefault' }, name);
  for (const key of ['hostNetwork', 'hostPID', 'hostIPC', 'shareProcessNamespace']) assert.ok(!(key in pod), key);
  for (const volume of pod.volumes) assert.ok(!('hostPath' in volume), volume.name);
  const users = new Set<unknown>();
  for (const { name: each, image, securityContext, resources } of containers) {
    assert.match(image, /[^:]+:[^:]*\d+\.\d+\.\d+[^:]*$|@sha256:/, `${each} has a version`);
    assert.equal(securityContext['allowPrivilegeEscalation'], false, each);
    assert.equal(securityContext['readOnlyRootFilesystem'], true, each);
    assert.deepEqual(securityContext['capabilities'], { drop: ['ALL'] }, each);
    users.add(securityContext['runAsUser']);
    for (const bounds of [resources?.requests, resources?.limits])
      assert.deepEqual(
        Object.keys(bounds ?? {})
          .toSorted()
          .slice(0, 2),
        ['cpu', 'memory'],
        each,
      );
  }
  assert.equal(users.size, containers.length, 'each container is a user of its own');
}

function checkProbes({ containers }: Workload): void {
  for (const container of containers) {
    const { startupProbe, livenessProbe, readinessProbe, ports, name } = container;
    for (const each of [startupProbe, livenessProbe, readinessProbe])
      if (each?.httpGet !== undefined)
        assert.ok(
          ports.some((port) => port.name === each.httpGet?.port),
          `${name}: ${each.httpGet.port}`,
        );
    assert.ok(startupProbe !== undefined && livenessProbe !== undefined, name);
    if (name !== 'opallama') continue;
    // Ollama is started once a native sidecar has started: waiting for it would never end.
    assert.equal(startupProbe.httpGet?.path, '/healthz');
    assert.equal(livenessProbe.httpGet?.path, '/healthz');
    assert.equal(readinessProbe?.httpGet?.path, '/readyz');
  }
}

const service = z.object({
  spec: z.object({
    type: z.string().default('ClusterIP'),
    selector: z.record(z.string(), z.string()),
    ports: z.array(z.object({ targetPort: z.string() })),
  }),
});

function isSelected(labels: Readonly<Record<string, string>>, selector: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** Whatever callers can name leads to the sidecar; what leads to Ollama is for the gateway alone. */
function checkServices(manifests: readonly Manifest[], workloads: readonly Workload[]): void {
  const services = manifests.filter(({ kind }) => kind === 'Service');
  assert.ok(services.length > 0);
  for (const each of services) {
    const { spec } = service.parse(each);
    assert.equal(spec.type, 'ClusterIP', each.metadata.name);
    const behind = workloads.filter(({ labels }) => isSelected(labels, spec.selector));
    assert.equal(behind.length, 1, each.metadata.name);
    const ports = new Map(
      behind.flatMap(({ containers }) =>
        containers.flatMap(({ name, ports: own }) => own.map((port) => [port.name, name] as const)),
      ),
    );
    for (const { targetPort } of spec.ports) {
      const isBackend = each.metadata.name === 'ollama-backend';
      assert.equal(targetPort, isBackend ? 'ollama' : 'data', each.metadata.name);
      assert.equal(ports.get(targetPort), isBackend ? 'ollama' : 'opallama', each.metadata.name);
    }
  }
}

const networkPolicy = z.object({
  spec: z.object({
    podSelector: z.object({ matchLabels: z.record(z.string(), z.string()) }),
    policyTypes: z.array(z.string()),
    ingress: z
      .array(
        z.object({
          from: z.array(z.record(z.string(), z.unknown())).min(1),
          ports: z.array(z.object({ port: z.string() })).min(1),
        }),
      )
      .default([]),
    egress: z.array(z.object({ to: z.array(z.unknown()).min(1), ports: z.array(z.unknown()).min(1) })).default([]),
  }),
});

const gatewayOnly = z.tuple([
  z.strictObject({ podSelector: z.object({ matchLabels: z.record(z.string(), z.string()) }) }),
]);

function checkNetwork(manifests: readonly Manifest[], workloads: readonly Workload[]): void {
  const policies = manifests
    .filter(({ kind }) => kind === 'NetworkPolicy')
    .map((each) => networkPolicy.parse(each).spec);
  for (const { name, labels } of workloads) {
    const own = policies.filter(({ podSelector }) => isSelected(labels, podSelector.matchLabels));
    const types = new Set(own.flatMap(({ policyTypes }) => policyTypes));
    assert.deepEqual([...types].toSorted(), ['Egress', 'Ingress'], name);
    for (const { from, ports } of own.flatMap(({ ingress }) => ingress)) {
      if (!ports.some(({ port }) => port === 'ollama')) continue;
      const [{ podSelector: callers }, ...others] = gatewayOnly.parse(from);
      assert.deepEqual([callers.matchLabels['app.kubernetes.io/name'], others], ['opallama-gateway', []]);
    }
  }
}

const configMap = z.object({ data: z.record(z.string(), z.string()) });
const source = z.object({ configMap: z.object({ name: z.string() }) });

/** The configuration as the container would load it, from its ConfigMap, its secrets and its environment. */
function readConfig(manifests: readonly Manifest[], { pod, containers }: Workload, secrets: Secrets): Config {
  const container = containers.find(({ name }) => name === 'opallama');
  assert.ok(container !== undefined);
  assert.deepEqual(container.args, ['serve', '--config', '/etc/opallama/opallama.yaml']);
  return loadConfig({
    file: '/etc/opallama/opallama.yaml',
    cwd: '/',
    env: Object.fromEntries(container.env.map(({ name, value }) => [name, value])),
    flags: [],
    readFile(path) {
      const mount = container.volumeMounts.find(({ mountPath }) => posix.dirname(path) === mountPath);
      assert.ok(mount !== undefined, `${path} is mounted`);
      const volume = pod.volumes.find(({ name }) => name === mount.name);
      if (volume !== undefined && 'secret' in volume)
        return Buffer.from(secrets(posix.basename(path)) ?? `${secret}${posix.basename(path)}`);
      const { name } = source.parse(volume).configMap;
      const map = manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name);
      return Buffer.from(configMap.parse(map).data[posix.basename(path)] ?? assert.fail(path));
    },
  });
}

function checkSidecar({ pod, containers }: Workload, config: Config): void {
  const { delay, grace } = config.shutdown;
  const seconds = pod.terminationGracePeriodSeconds ?? 30;
  assert.ok(seconds * 1000 >= delay + grace + 10_000, 'Kubernetes kills before the streams had their time');
  const opallama = containers.find(({ name }) => name === 'opallama');
  const portOf = (name: string) => opallama?.ports.find((port) => port.name === name)?.containerPort;
  assert.deepEqual(config.listen.data, { host: '0.0.0.0', port: portOf('data') });
  assert.deepEqual(config.listen.ops, { host: '0.0.0.0', port: portOf('ops') });
  assert.equal(config.identity.anonymous, undefined);
  const ollama = containers.find(({ name }) => name === 'ollama');
  if (ollama === undefined) {
    assert.equal(config.upstream.baseUrl.href, 'http://ollama-backend:11434/');
    return;
  }
  const env = new Map(ollama.env.map(({ name, value }) => [name, value]));
  assert.equal(env.get('OLLAMA_HOST'), '127.0.0.1:11434');
  assert.equal(env.get('OLLAMA_NO_CLOUD'), '1');
  assert.equal(config.upstream.baseUrl.href, 'http://127.0.0.1:11434/');
  assert.equal(config.upstream.readiness, 'required');
  assert.deepEqual(ollama.ports, []);
  // Of the sidecar's secrets Ollama has the token to drain and no other.
  const scopes = new Map(config.admin.tokens.map(({ source: { value }, scope }) => [posix.basename(value), scope]));
  assert.equal(scopes.get('drain-token'), 'drain');
  const held = ollama.volumeMounts.map(({ name }) => pod.volumes.find((volume) => volume.name === name));
  const items = held.flatMap((volume) =>
    volume !== undefined && 'secret' in volume
      ? z.object({ secret: z.object({ items: z.array(z.object({ key: z.string() })) }) }).parse(volume).secret.items
      : [],
  );
  assert.deepEqual(
    items.map(({ key }) => key),
    ['drain-token'],
  );
}
