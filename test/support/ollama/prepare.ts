/** Builds whatever the tests against a real Ollama need and is not in the cache yet. Ends with code 2 if that cannot be done. */
import { buildOllama } from './binary.ts';
import { cacheRoot } from './cache.ts';
import { buildModels } from './models.ts';
import { buildPython } from './python.ts';

export interface RealOllama {
  readonly binary: string;
  readonly python: string;
  readonly models: string;
}

/** @returns where the parts are; takes minutes the first time and milliseconds after that. */
export async function prepareOllama(): Promise<RealOllama> {
  const python = await buildPython();
  const binary = await buildOllama();
  const models = await buildModels({ binary, python });
  return { binary, python, models };
}

if (import.meta.main) {
  const began = performance.now();
  try {
    await prepareOllama();
    process.stderr.write(
      `ollama: ready in ${((performance.now() - began) / 1000).toFixed(1)} s, cache ${cacheRoot()}\n`,
    );
  } catch (error) {
    process.stderr.write(`ollama: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  }
}
