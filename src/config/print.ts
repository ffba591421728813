import type { Config } from '../types.ts';

/** The configuration as YAML, secrets masked. */
export function printConfig(config: Config): string {
  return `log: { level: ${config.log.level} }\n`;
}
