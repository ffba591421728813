/** A real Ollama with the tiny models and a sidecar in front of it. */
import { prepareOllama, type RealOllama } from './prepare.ts';
import { type OllamaServer, startOllama } from './server.ts';
import { type Sidecar, type SidecarOptions, startSidecar } from './sidecar.ts';

export interface Pair {
  readonly ollama: OllamaServer;
  readonly sidecar: Sidecar;
  readonly parts: RealOllama;
  stop(): Promise<void>;
}

/** @param options of the sidecar */
export async function startPair(options: Omit<SidecarOptions, 'upstream'> = {}): Promise<Pair> {
  const parts = await prepareOllama();
  const ollama = await startOllama(parts);
  try {
    const sidecar = await startSidecar({ ...options, upstream: ollama.url });
    return {
      ollama,
      sidecar,
      parts,
      async stop() {
        await sidecar.stop();
        await ollama.stop();
      },
    };
  } catch (error) {
    await ollama.stop();
    throw error;
  }
}
