/** A real Ollama with an empty store of its own, behind a sidecar with the shipped policy: for tests that change models. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeOllamaKey } from './key.ts';
import { prepareOllama, type RealOllama } from './prepare.ts';
import type { OllamaServer } from './server.ts';
import { ollamaEnvironment, startOllama } from './server.ts';
import { type Sidecar, signToken, startSidecar } from './sidecar.ts';

export type ShippedRole = 'admin' | 'developer' | 'guest';

export interface Managed {
  readonly ollama: OllamaServer;
  readonly sidecar: Sidecar;
  readonly parts: RealOllama;
  /** Holds `weights.gguf`, which the store does not, and the `Modelfile` of it. */
  readonly work: string;
  token(role: ShippedRole): string;
  /** For the command line of a caller with that role, below the prefix `/ollama`; without one it asks Ollama itself. */
  environment(role: ShippedRole | undefined): Readonly<Record<string, string>>;
  /** The models that Ollama itself lists. */
  models(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

const policies = join(import.meta.dirname, '..', '..', '..', 'policies');
const roles: readonly ShippedRole[] = ['admin', 'developer', 'guest'];

export async function startManaged(): Promise<Managed> {
  const parts = await prepareOllama();
  const home = await mkdtemp(join(tmpdir(), 'opallama-managed-'));
  const ending: Array<() => Promise<unknown>> = [() => rm(home, { recursive: true, maxRetries: 10, force: true })];
  const stop = async () => {
    for (const end of ending.splice(0).reverse()) await end();
  };
  try {
    await copyFile(await weightsOf(parts, 'tiny-embed'), join(home, 'weights.gguf'));
    await writeFile(join(home, 'Modelfile'), 'FROM ./weights.gguf\nPARAMETER num_thread 1\nLICENSE none\n');
    const keys = new Map<ShippedRole, string>();
    for (const role of roles) keys.set(role, await writeOllamaKey(join(home, role)));
    const ollama = await startOllama({ binary: parts.binary, models: join(home, 'store') });
    ending.push(() => ollama.stop());
    const sidecar = await startSidecar({
      upstream: ollama.url,
      config: { policy: { path: policies } },
      identity: {
        ollama_keys: [...keys].map(([role, line]) => ({ id: `${role}-key`, public_key: line, roles: [role] })),
      },
    });
    ending.push(() => sidecar.stop());
    return {
      ollama,
      sidecar,
      parts,
      work: home,
      token: (role) => signToken({ sub: role, roles: [role] }),
      environment: (role) =>
        role === undefined
          ? { ...ollamaEnvironment(join(home, 'admin')), OLLAMA_HOST: ollama.url }
          : {
              ...ollamaEnvironment(join(home, role)),
              OLLAMA_HOST: `${sidecar.url}/ollama`,
              OLLAMA_AUTH: '1',
            },
      async models() {
        const { models }: { models: ReadonlyArray<{ name: string }> } = JSON.parse(
          await (await fetch(`${ollama.url}/api/tags`)).text(),
        );
        return models.map(({ name }) => name).toSorted();
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The file of a model's weights in the cached store, as its manifest names it. */
async function weightsOf({ models }: RealOllama, name: string): Promise<string> {
  const manifest = join(models, 'manifests', 'registry.ollama.ai', 'library', name, 'latest');
  const { layers }: { layers: ReadonlyArray<{ mediaType: string; digest: string }> } = JSON.parse(
    await readFile(manifest, 'utf8'),
  );
  const digest = layers.find(({ mediaType }) => mediaType.endsWith('.model'))?.digest;
  if (digest === undefined) throw new Error(`The manifest of ${name} names no weights.`);
  return join(models, 'blobs', digest.replace(':', '-'));
}
