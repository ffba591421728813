/** What the tests of the configuration load from: files that are only in memory, and an environment of their own. */
import assert from 'node:assert/strict';
import { loadConfig } from '../../src/config/load.ts';
import type { ConfigSources, Flag } from '../../src/config/sources.ts';
import { ConfigError } from '../../src/errors.ts';

export interface Given {
  /** The text of `opallama.yaml`; absent: there is no such file. */
  readonly yaml?: string | undefined;
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: readonly Flag[];
  readonly file?: string;
}

export const secret = 'a-secret-that-must-never-be-printed-0123456789';

/** The least that a configuration needs. */
export const guests = 'identity: { anonymous: { roles: [guest] } }\n';

export function sourcesOf({ yaml, files = {}, env = {}, flags = [], file }: Given): ConfigSources {
  const all = new Map(Object.entries(files));
  if (yaml !== undefined) all.set('/etc/app/opallama.yaml', yaml);
  return {
    cwd: '/etc/app',
    env,
    flags,
    file,
    readFile: (path) => {
      const content = all.get(path);
      if (content === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' });
      return Buffer.from(content);
    },
  };
}

export function load(given: Given) {
  return loadConfig(sourcesOf(given));
}

/** The faults of a configuration that must have some. */
export function faultsOf(given: Given): readonly string[] {
  try {
    load(given);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.faults;
  }
  assert.fail('the configuration was accepted');
}
