/**
 * The real kube-apiserver, etcd, kubectl and Helm, built from their Go modules with the machine's own Go caches. The first
 * three minutes of it are kube-apiserver's; kubectl and Helm share what it is compiled from.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { createBuildCache, nameByContent } from '../build-cache.ts';

export const kubernetesVersion = '1.36.3';

const cache = createBuildCache(`kubernetes-${kubernetesVersion}`, 'kubernetes');

export interface KubernetesCommands {
  readonly apiServer: string;
  readonly etcd: string;
  readonly kubectl: string;
  readonly helm: string;
  /** Files with the kinds of Prometheus' operator, which the manifests use. */
  readonly customKinds: readonly string[];
}

/** What is compiled: the packages of the two modules here. */
const modules = { go: ['kube-apiserver', 'kubectl', 'helm'], etcd: ['.'] } as const;

/**
 * Builds what is not in the cache yet: minutes the first time, milliseconds after that.
 *
 * @throws Error that says what is missing
 */
export async function prepareKubernetes(): Promise<KubernetesCommands> {
  const go = await build('go');
  const etcd = await build('etcd');
  return {
    apiServer: join(go, 'kube-apiserver'),
    etcd: join(etcd, 'etcd'),
    kubectl: join(go, 'kubectl'),
    helm: join(go, 'helm'),
    customKinds: await downloadKinds(),
  };
}

/** @returns the path of a command that was built before, whatever the sources are by now */
export function findBuilt(command: 'kubectl' | 'helm'): string | undefined {
  const root = cache.root();
  const parts = existsSync(root) ? readdirSync(root).filter((part) => /^go-[0-9a-f]+$/.test(part)) : [];
  return parts.map((part) => join(root, part, command)).find((path) => existsSync(path));
}

const operator = 'github.com/prometheus-operator/prometheus-operator@v0.85.0';

/** They are files of the operator's module. */
async function downloadKinds(): Promise<readonly string[]> {
  const names = ['podmonitors', 'prometheusrules'].map((kind) => `monitoring.coreos.com_${kind}.yaml`);
  const [, version = ''] = operator.split('@');
  const kinds = await cache.buildOnce(`kinds-${version}`, "the kinds of Prometheus' operator", async (directory) => {
    const printed: unknown = JSON.parse(
      await cache.run('go', ['mod', 'download', '-json', operator], { cwd: directory }),
    );
    const module = typeof printed === 'object' && printed !== null ? Reflect.get(printed, 'Dir') : undefined;
    for (const name of names)
      await copyFile(join(String(module), 'example/prometheus-operator-crd', name), join(directory, name));
  });
  return names.map((name) => join(kinds, name));
}

async function build(module: keyof typeof modules): Promise<string> {
  const directory = join(import.meta.dirname, module);
  const sources = (await readdir(directory, { recursive: true }))
    .filter((file) => /\.(?:go|mod|sum)$/.test(file))
    .toSorted()
    .map((file) => join(directory, file));
  // The flags stand in this file.
  const name = await nameByContent(module, [...sources, import.meta.filename]);
  return cache.buildOnce(name, `${what[module]} from source`, async (bin) => {
    if (spawnSync('go', ['version']).error !== undefined)
      throw new Error('Go 1.24 or newer is missing: kube-apiserver and etcd are built from their modules.');
    const targets = modules[module].map((name) => (name === '.' ? '.' : `./${name}`));
    await cache.run(
      'go',
      ['build', '-p', '2', '-trimpath', `-ldflags=-s -w ${versionFlags}`, '-o', `${bin}/`, ...targets],
      {
        cwd: directory,
        env: { ...process.env, GOFLAGS: '-mod=readonly -buildvcs=false', GOWORK: 'off' },
      },
    );
  });
}

/** What a build of Kubernetes' own says; Helm asks the API server for it. */
const [major = '', minor = ''] = kubernetesVersion.split('.');
const versionFlags = Object.entries({
  gitVersion: `v${kubernetesVersion}`,
  gitMajor: major,
  gitMinor: minor,
  gitTreeState: 'clean',
})
  .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
  .join(' ');

const what = {
  go: `kube-apiserver ${kubernetesVersion}, kubectl and Helm (four minutes with empty caches)`,
  etcd: 'etcd',
} as const;

if (import.meta.main) {
  const began = performance.now();
  try {
    await prepareKubernetes();
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    process.stderr.write(`kubernetes: ready in ${seconds} s, cache ${cache.root()}\n`);
  } catch (error) {
    process.stderr.write(`kubernetes: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}
