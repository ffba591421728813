/** Runs the sidecar until it is told to stop. Shared by `serve` and `quickstart`. */
import { type App, startApp } from '../app.ts';
import { createStdoutSink } from '../audit/stdout-sink.ts';
import { createLogger, type Logger } from '../telemetry/log.ts';
import type { Config } from '../types.ts';

export interface RunOptions {
  readonly searchPath: string | undefined;
  readonly extraHeaders?: Readonly<Record<string, string>>;
  /** Closed behind the sidecar. */
  readonly onClosed?: () => Promise<void>;
}

export interface Running {
  readonly app: App;
  readonly log: Logger;
}

/** @throws what `startApp` throws, before anything listens */
export async function runApp(config: Config, options: RunOptions): Promise<Running> {
  const log = createLogger(config.log.level);
  let app: App | undefined;
  const sink = config.audit.stdout
    ? createStdoutSink((error) => {
        app?.auditFailed();
        log.error({ err: error }, 'an audit event could not be written to standard output');
      })
    : undefined;
  app = await startApp(config, {
    log,
    observers: sink === undefined ? [] : [sink.observe],
    ...(sink && { onShadow: sink.observeShadow, onAdmin: sink.observeAdmin }),
    searchPath: options.searchPath,
    ...(options.extraHeaders && { extraHeaders: options.extraHeaders }),
  });
  const running = { app, log };

  let stopping = false;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    // A second signal means now.
    if (stopping) process.exit(1);
    stopping = true;
    log.info({ signal }, 'shutting down');
    await running.app.close();
    await options.onClosed?.();
    await sink?.close();
    log.flush();
    process.exit(0);
  };
  process.on('SIGTERM', (signal) => void stop(signal));
  process.on('SIGINT', (signal) => void stop(signal));
  // The process ends as it would have, but no event that was made is lost.
  process.on('uncaughtExceptionMonitor', () => {
    running.app.tellNow();
    sink?.flushNow();
    log.flush();
  });
  return running;
}
