/** Makes the tiny models that the tests ask: weights by `make_tiny_gguf.py`, put into Ollama by its own `create`. */
import { cp, mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildOnce, nameByContent, run } from './cache.ts';
import { ollamaEnvironment, startOllama } from './server.ts';

const weights = join(import.meta.dirname, 'make_tiny_gguf.py');
const modelfiles = join(import.meta.dirname, 'modelfiles');

/** @returns the directory of models for `OLLAMA_MODELS`, made if it was not there. */
export async function buildModels(tools: { readonly binary: string; readonly python: string }): Promise<string> {
  const names = (await readdir(modelfiles)).sort();
  const part = await nameByContent('models', [
    import.meta.filename,
    weights,
    ...names.map((name) => join(modelfiles, name)),
  ]);
  return buildOnce(part, `the models ${names.join(', ')}`, async (models) => {
    const work = await mkdtemp(join(tmpdir(), 'opallama-models-'));
    const server = await startOllama({ binary: tools.binary, models });
    try {
      // The model files say `FROM ../gguf/...`.
      const here = join(work, 'modelfiles');
      await cp(modelfiles, here, { recursive: true });
      await run(tools.python, [weights, join(work, 'gguf')]);
      for (const name of names) {
        await run(tools.binary, ['create', name, '-f', name], {
          cwd: here,
          env: { ...ollamaEnvironment(work), OLLAMA_HOST: server.url },
        });
      }
      for (const [index, name] of names.entries()) {
        // Ollama lists the newest first and orders those of one second at random.
        const made = new Date(Date.UTC(2026, 0, 1 + index));
        await utimes(join(models, 'manifests', 'registry.ollama.ai', 'library', name, 'latest'), made, made);
      }
    } finally {
      await server.stop();
      await rm(work, { recursive: true, maxRetries: 10, force: true });
    }
  });
}
