/**
 * The real kube-apiserver, etcd, kubectl and Helm, built from their Go modules with the machine's own Go caches. The first
 * three minutes of it are kube-apiserver's; kubectl and Helm share what it is compiled from.
 */
import { spawnSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { createBuildCache, nameByContent } from '../build-cache.ts';

export const kubernetesVersion = '1.36.3';

const cache = createBuildCache(`kubernetes-${kubernetesVersion}`, 'kubernetes');

export interface KubernetesCommands {
  readonly apiServer: string;
  readonly etcd: string;
  readonly kubectl: string;
  readonly helm: string;
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
  };
}

async function build(module: keyof typeof modules): Promise<string> {
  const directory = join(import.meta.dirname, module);
  const sources = (await readdir(directory, { recursive: true }))
    .filter((file) => /\.(?:go|mod|sum)$/.test(file))
    .toSorted()
    .map((file) => join(directory, file));
  return cache.buildOnce(await nameByContent(module, sources), `${what[module]} from source`, async (bin) => {
    if (spawnSync('go', ['version']).error !== undefined)
      throw new Error('Go 1.24 or newer is missing: kube-apiserver and etcd are built from their modules.');
    const targets = modules[module].map((name) => (name === '.' ? '.' : `./${name}`));
    await cache.run('go', ['build', '-p', '2', '-trimpath', '-ldflags=-s -w', '-o', `${bin}/`, ...targets], {
      cwd: directory,
      env: { ...process.env, GOFLAGS: '-mod=readonly -buildvcs=false', GOWORK: 'off' },
    });
  });
}

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
