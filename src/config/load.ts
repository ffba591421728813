import { ConfigError } from '../errors.ts';
import type { Config } from '../types.ts';
import type { Environment } from './environment.ts';

/** A command-line flag that sets a member of the configuration. */
export interface Flag {
  /** As the user types it, `--policy`. */
  readonly name: string;
  /** Of the member, `policy.path`. */
  readonly path: string;
  /** `undefined`: not given. Text is read as in the environment; maps are merged, lists replace. */
  readonly value: unknown;
}

export interface ConfigSources extends Environment {
  /** The file that `--config` names; undefined: `opallama.yaml` in `cwd` if it is there. */
  readonly file: string | undefined;
  readonly flags: readonly Flag[];
}

export function loadConfig(sources: ConfigSources): Config {
  throw new ConfigError([`loading is not there yet: ${sources.file ?? 'opallama.yaml'}`]);
}
