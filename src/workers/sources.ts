/**
 * What the configuration was read from, kept: a worker that is started anew must get the configuration of the others,
 * whatever stands in its files by then.
 */
import { type ConfigSources, loadConfig } from '../config/load.ts';
import type { Config } from '../configured/config.ts';

export interface RecordedSources extends Omit<ConfigSources, 'readFile'> {
  /** What each file held that was read, by its path; a text where it could not be. */
  readonly files: ReadonlyMap<string, Uint8Array | { readonly code: string }>;
}

/** @returns the same sources, and what has been read of them so far */
export function recordSources(sources: ConfigSources): {
  readonly sources: ConfigSources;
  readonly recorded: () => RecordedSources;
} {
  const files = new Map<string, Uint8Array | { readonly code: string }>();
  return {
    sources: {
      ...sources,
      readFile(path) {
        try {
          const bytes = sources.readFile(path);
          files.set(path, bytes);
          return bytes;
        } catch (error) {
          files.set(path, { code: error instanceof Error && 'code' in error ? String(error.code) : '' });
          throw error;
        }
      },
    },
    recorded: () => ({ env: { ...sources.env }, cwd: sources.cwd, file: sources.file, flags: sources.flags, files }),
  };
}

/** @throws ConfigError */
export function loadRecorded({ files, ...sources }: RecordedSources): Config {
  return loadConfig({
    ...sources,
    readFile(path) {
      const found = files.get(path);
      if (found instanceof Uint8Array) return found;
      throw Object.assign(new Error(`${path} was not read when the sidecar started.`), {
        code: found?.code ?? 'ENOENT',
      });
    },
  });
}
