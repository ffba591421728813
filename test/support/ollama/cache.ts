/** The cache that the tests against a real Ollama build into, a part of it for each version of Ollama. */
import { createBuildCache, nameByContent } from '../build-cache.ts';

export { nameByContent };

export const ollamaVersion = '0.17.4';

export const { root: cacheRoot, buildOnce, run } = createBuildCache(`ollama-${ollamaVersion}`, 'ollama');
