/** The level of the log while the sidecar runs, so that a fault can be looked into without the restart that would end it. */
import type { Logger } from './log.ts';

/** From most to least. A log that is silenced hides what is done behind it, so that is for the configuration alone. */
export const settableLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

export type SettableLevel = (typeof settableLevels)[number];

export interface LevelState {
  readonly level: string;
  /** To which a level that was set for a time goes back, and a restart. */
  readonly configured: string;
  /** When it goes back, Unix time in ms; undefined where it stays. */
  readonly untilMs: number | undefined;
}

export interface LogLevel {
  state(): LevelState;
  /** @param forMs after which the configured level is back; undefined to stay until a restart */
  set(level: SettableLevel, forMs: number | undefined): LevelState;
  close(): void;
}

/**
 * @param log its level at this moment is the configured one
 * @param onChange told of each other one
 */
export function createLogLevel(log: Logger, onChange: (level: string) => void = () => {}): LogLevel {
  const configured = log.level;
  let untilMs: number | undefined;
  let timer: NodeJS.Timeout | undefined;

  return { state, set, close: () => clearTimeout(timer) };

  function state(): LevelState {
    return { level: log.level, configured, untilMs };
  }

  function set(level: SettableLevel, forMs: number | undefined): LevelState {
    clearTimeout(timer);
    log.level = level;
    onChange(level);
    untilMs = forMs === undefined ? undefined : Date.now() + forMs;
    if (forMs !== undefined) timer = setTimeout(goBack, forMs).unref();
    return state();
  }

  function goBack(): void {
    untilMs = undefined;
    log.level = configured;
    onChange(configured);
    log.info({ level: configured }, 'the level of the log is the configured one again');
  }
}
