/** The manifests of k8s/ as Kustomize and Helm render them, and the parts of them that tests look at. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';

import { findBuilt } from './binaries.ts';

export const kustomizeRoot = fileURLToPath(new URL('../../../k8s/kustomize/', import.meta.url));
export const chartRoot = fileURLToPath(new URL('../../../k8s/helm/opallama/', import.meta.url));
export const overlays = readdirSync(join(kustomizeRoot, 'overlays')).sort();

const probe = z
  .object({
    httpGet: z.object({ path: z.string(), port: z.union([z.string(), z.number()]) }).optional(),
    exec: z.object({ command: z.array(z.string()) }).optional(),
  })
  .loose();
const quantities = z.record(z.string(), z.union([z.string(), z.number()]));

const container = z.object({
  name: z.string(),
  image: z.string(),
  restartPolicy: z.string().optional(),
  args: z.array(z.string()).optional(),
  env: z.array(z.object({ name: z.string(), value: z.string().optional() })).default([]),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number() })).default([]),
  startupProbe: probe.optional(),
  livenessProbe: probe.optional(),
  readinessProbe: probe.optional(),
  lifecycle: z.object({ preStop: probe.extend({ sleep: z.object({ seconds: z.number() }).optional() }) }).optional(),
  resources: z.object({ requests: quantities, limits: quantities }).optional(),
  securityContext: z.record(z.string(), z.unknown()).default({}),
  volumeMounts: z
    .array(z.object({ name: z.string(), mountPath: z.string(), readOnly: z.boolean().optional() }))
    .default([]),
});
export type Container = z.output<typeof container>;

export const podSpec = z.object({
  automountServiceAccountToken: z.boolean().optional(),
  enableServiceLinks: z.boolean().optional(),
  terminationGracePeriodSeconds: z.number().optional(),
  securityContext: z.record(z.string(), z.unknown()).default({}),
  initContainers: z.array(container).default([]),
  containers: z.array(container),
  volumes: z.array(z.object({ name: z.string() }).loose()).default([]),
});

const manifest = z
  .object({
    apiVersion: z.string(),
    kind: z.string(),
    metadata: z.object({
      name: z.string(),
      namespace: z.string().optional(),
      labels: z.record(z.string(), z.string()).optional(),
    }),
  })
  .loose();
export type Manifest = z.output<typeof manifest>;

const deployment = z.object({
  spec: z.object({
    template: z.object({ metadata: z.object({ labels: z.record(z.string(), z.string()) }), spec: podSpec }),
  }),
});

export interface Workload {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly pod: z.output<typeof podSpec>;
  readonly containers: readonly Container[];
}

/** @throws ZodError for what is no manifest */
export function readManifests(text: string): readonly Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    for (const error of document.errors) throw error;
    const value: unknown = document.toJS();
    return value === null ? [] : [manifest.parse(value)];
  });
}

export function workloadsOf(manifests: readonly Manifest[]): readonly Workload[] {
  return manifests
    .filter(({ kind }) => kind === 'Deployment')
    .map((each) => {
      const { template } = deployment.parse(each).spec;
      const pod = template.spec;
      return {
        name: each.metadata.name,
        labels: template.metadata.labels,
        pod,
        containers: [...pod.initContainers, ...pod.containers],
      };
    });
}

/** What `npm run test:kubernetes` built, else what is on the PATH. */
export const kubectl = findBuilt('kubectl') ?? 'kubectl';
export const helm = findBuilt('helm') ?? 'helm';

/** False, or why it can't be had. */
export const noKustomize =
  spawnSync(kubectl, ['kustomize', '--help']).status === 0
    ? false
    : 'kubectl, which has Kustomize in it, is missing; npm run test:kubernetes builds it';
export const noHelm =
  spawnSync(helm, ['version']).status === 0 ? false : 'Helm is missing; npm run test:kubernetes builds it';

export interface Rendered {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function call(command: string, args: readonly string[]): Rendered {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000 });
  if (error) throw error;
  return { code: status, stdout, stderr };
}

const rendered = new Map<string, string>();

/** @param overlay one of `overlays` */
export function renderKustomize(overlay: string): string {
  const known = rendered.get(overlay);
  if (known !== undefined) return known;
  const { code, stdout, stderr } = call(kubectl, ['kustomize', join(kustomizeRoot, 'overlays', overlay)]);
  if (code !== 0) throw new Error(stderr);
  rendered.set(overlay, stdout);
  return stdout;
}

/** @param args such as `--set replicas=2` */
export function renderHelm(args: readonly string[] = []): Rendered {
  return call(helm, ['template', 'ollama', chartRoot, '--namespace', 'ollama', ...args]);
}
