/** What workers tell of requests, counted and recorded once and in one place. */
import type { RecordObserver } from '../../audit/record.ts';
import { type Admit, type Recorded, toLineJson } from '../../audit/sink.ts';
import type { LiveShadow } from '../../delivery/live-shadow.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { AuditEvent, DecisionEvent, Measures } from '../../types.ts';
import type { Count } from '../messages.ts';
import { readEnd, type Told, unpackMeasures } from '../told.ts';
import { createOpenRequests, type OpenRequests } from './open-requests.ts';
import type { Remark, WorkerProcess } from './worker-process.ts';

export interface HearingOptions {
  readonly metrics: Pick<
    Metrics,
    'auditFailed' | 'auditUnrecorded' | 'handshakeFailed' | 'tlsReloaded' | 'identityReloaded'
  >;
  /** Where records go. */
  readonly record?: ((recorded: Recorded) => void) | undefined;
  readonly observers: readonly RecordObserver[];
  /** Undefined where nothing wants to be told before a request goes on. */
  readonly admit: Admit | undefined;
  readonly onShadow?: Pick<LiveShadow, 'onResult' | 'onDisagreement'> | undefined;
  /** A line of the log. */
  readonly onLog: (text: string) => void;
}

export interface Hearing {
  hear(worker: WorkerProcess, remark: Remark): void;
  /**
   * A worker has ended. What it had begun to forward is recorded as an error of the sidecar's.
   *
   * @returns how many requests those were; undefined where nobody knows
   */
  end(worker: WorkerProcess): number | undefined;
}

export function createHearing(options: HearingOptions): Hearing {
  const { admit, metrics } = options;
  const open = new WeakMap<WorkerProcess, OpenRequests>();

  return {
    hear(worker, remark) {
      switch (remark.kind) {
        case 'log':
          options.onLog(remark.text);
          return;
        case 'admit':
          void admitAll(worker, remark.id, remark.texts);
          return;
        case 'records':
          for (const told of remark.told) take(worker, told);
          for (const count of remark.counts) add(count);
          for (const event of remark.disagreements) options.onShadow?.onDisagreement(event);
      }
    },
    end(worker) {
      if (admit === undefined) return undefined;
      const events = open.get(worker)?.end() ?? [];
      for (const { event, measures } of events) tell(event, toLineJson(event), measures);
      return events.length;
    },
  };

  function openOf(worker: WorkerProcess): OpenRequests {
    let known = open.get(worker);
    if (known === undefined) {
      known = createOpenRequests();
      open.set(worker, known);
    }
    return known;
  }

  async function admitAll(worker: WorkerProcess, id: number, texts: readonly string[]): Promise<void> {
    const refused = new Set<number>();
    const waits = texts.map((text, place) => {
      const event: DecisionEvent = JSON.parse(text);
      openOf(worker).begin(event);
      return Promise.resolve(admit?.(() => text)).catch(() => {
        openOf(worker).forget(event);
        refused.add(place);
      });
    });
    await Promise.all(waits);
    worker.send({ kind: 'admitted', id, refused: [...refused] });
  }

  function take(worker: WorkerProcess, told: Told): void {
    if ('decision' in told) {
      openOf(worker).begin(JSON.parse(told.decision));
      // It has gone on already.
      admit?.(() => told.decision)?.catch(() => metrics.auditUnrecorded());
      return;
    }
    const event = readEnd(told);
    if (admit !== undefined) openOf(worker).forget(event);
    tell(event, told.text, unpackMeasures(told.measures));
  }

  function tell(event: AuditEvent, text: string, measures: Measures): void {
    options.record?.({ kind: 'audit', event, json: () => text });
    for (const observe of options.observers) observe(event, measures);
  }

  function add(count: Count): void {
    switch (count[0]) {
      case 'auditFailed':
        metrics.auditFailed(count[1], count[2]);
        return;
      case 'handshakeFailed':
        metrics.handshakeFailed(count[1]);
        return;
      case 'tlsReloaded':
        metrics.tlsReloaded(count[1], count[2]);
        return;
      case 'identityReloaded':
        metrics.identityReloaded(count[1], count[2], count[3]);
        return;
      case 'shadowDecided':
        options.onShadow?.onResult(count[1]);
    }
  }
}
