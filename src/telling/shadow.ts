/** What the log and the metrics are told of the shadow. */

import type { ShadowConfig } from '../configured/policy.ts';
import type { LiveShadowOptions } from '../delivery/live-shadow.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { createSparse } from '../telemetry/sparse.ts';
import type { ShadowEvent } from '../types.ts';
import { idsOf, type Tellable } from './user-code.ts';

export interface ShadowTelling extends Omit<LiveShadowOptions, 'searchPath'> {
  close(): void;
}

/** @param onEvent told of disagreements, as many as are to be told of */
export function tellOfShadow(
  { name, path, engine, entrypoint, sample }: ShadowConfig,
  parts: {
    readonly log: Logger;
    readonly metrics: Pick<Metrics, 'shadowDecided'>;
    readonly tellable: Tellable;
    readonly onEvent: ((event: ShadowEvent) => void) | undefined;
  },
): ShadowTelling {
  const { log, metrics, tellable, onEvent } = parts;
  const disagreements = createSparse({
    most: 100,
    perMs: 60_000,
    onLeftOut: (kind, left_out) => log.warn({ kind, left_out }, 'more of a shadow was left out'),
  });
  return {
    onLoaded({ loaded, place }) {
      const facts = { shadow: name, path, engine, entrypoint, sample, revision: loaded.revision };
      log.info({ ...facts, isolation: place.place }, 'shadow loaded: it is asked and never listened to');
    },
    onRefused: ({ error }) => log.error({ shadow: name, path, err: error }, 'the shadow can not be loaded'),
    onEvaluationError(error, asked) {
      if (disagreements.admits('failures'))
        log.error(
          { err: tellable.evaluation(error, name), ...idsOf(asked), shadow: name },
          'the shadow failed to evaluate',
        );
    },
    onLost: (cause) =>
      log.warn({ err: tellable.other(cause, name), shadow: name }, 'a thread of the shadow was ended and is replaced'),
    onMoved: (took_ms) =>
      log.warn({ took_ms, shadow: name }, 'the shadow held the event loop up and is evaluated in threads of its own'),
    onResult: (result) => metrics.shadowDecided(name, result),
    onDisagreement(event) {
      if (onEvent !== undefined && disagreements.admits(event.disagreement)) onEvent(event);
    },
    close: () => disagreements.close(),
  };
}
