/** The flags that set members of the configuration, the same for every command that reads one. */
import type { Command } from 'commander';

import type { Environment } from '../config/environment.ts';
import { type ConfigSources, type Flag, loadConfig } from '../config/load.ts';
import type { Config } from '../configured/config.ts';

/** What a command needs of the world around it. */
export interface CliDeps {
  readonly environment: Environment;
  /** Standard output. */
  readonly write: (text: string) => void;
  /** What has to be over before more is written, if anything: a reader may be slower than what is read for it. */
  readonly drained?: () => Promise<void> | undefined;
}

export interface ConfigOptions {
  readonly config?: string;
  readonly policy?: string;
  readonly entrypoint?: string;
  readonly upstream?: string;
  readonly listenData?: string;
  readonly listenOps?: string;
  readonly logLevel?: string;
  readonly workers?: string;
}

export function addConfigOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'configuration file (default: opallama.yaml, if it is there)')
    .option('--policy <path>', 'policy.path: directory of Rego and data, or a bundle')
    .option('--entrypoint <path>', 'policy.entrypoint: package or rule that decides, as in ollama/authz')
    .option('--upstream <url>', 'upstream.base_url: where Ollama answers')
    .option('--listen-data <address>', 'listen.data: where the proxied APIs are served')
    .option('--listen-ops <address>', 'listen.ops: where metrics and health are served')
    .option('--log-level <level>', 'log.level: trace, debug, info, warn, error, fatal or silent');
}

/**
 * @param more flags that the command sets itself; they win
 * @throws ConfigError
 */
export function readConfig(options: ConfigOptions, environment: Environment, more: readonly Flag[] = []): Config {
  return loadConfig(nameSources(options, environment, more));
}

/** What the configuration is read from, for whoever has to read the same again. */
export function nameSources(
  options: ConfigOptions,
  environment: Environment,
  more: readonly Flag[] = [],
): ConfigSources {
  const flags: readonly Flag[] = [
    { name: '--policy', path: 'policy.path', value: options.policy },
    { name: '--entrypoint', path: 'policy.entrypoint', value: options.entrypoint },
    { name: '--upstream', path: 'upstream.base_url', value: options.upstream },
    { name: '--listen-data', path: 'listen.data', value: options.listenData },
    { name: '--listen-ops', path: 'listen.ops', value: options.listenOps },
    { name: '--log-level', path: 'log.level', value: options.logLevel },
    { name: '--workers', path: 'workers', value: options.workers },
    ...more,
  ];
  return { ...environment, file: options.config, flags };
}
