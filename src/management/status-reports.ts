/** Reports to a status service: when something has changed, and at an interval. */
import type { StatusConfig } from '../configured/management.ts';
import { backOff } from './backoff.ts';
import { post, ServiceError } from './service.ts';
import type { StatusDocument } from './status-document.ts';

export interface StatusReportsOptions {
  readonly document: () => StatusDocument;
  /** Told of each report, with what it failed of. */
  readonly onReport: (error: ServiceError | undefined) => void;
}

export interface StatusReports {
  /** Something may have changed: it is told soon. */
  changed(): void;
  configure(config: StatusConfig | undefined): void;
  close(): Promise<void>;
}

/** What changes together is told together, ms. */
const gatherMs = 100;

export function createStatusReports({ document, onReport }: StatusReportsOptions): StatusReports {
  let config: StatusConfig | undefined;
  let timer: NodeJS.Timeout | undefined;
  let dueAt = 0;
  let reporting: Promise<void> | undefined;
  let hasChanged = false;
  let failures = 0;
  let closed = false;
  const controller = new AbortController();

  return {
    changed() {
      if (config === undefined || closed) return;
      hasChanged = true;
      // While it fails, the pause behind the last failure stands.
      if (failures === 0) plan(gatherMs);
    },
    configure(next) {
      config = next;
      failures = 0;
      clearTimeout(timer);
      timer = undefined;
      if (next !== undefined) plan(gatherMs);
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      controller.abort();
      await reporting;
    },
  };

  /** Sooner counts, later does not. */
  function plan(ms: number): void {
    const at = performance.now() + ms;
    if (closed || (timer !== undefined && dueAt <= at)) return;
    clearTimeout(timer);
    dueAt = at;
    timer = setTimeout(() => {
      timer = undefined;
      reporting ??= report().finally(() => {
        reporting = undefined;
        if (config === undefined) return;
        if (failures > 0) plan(backOff(failures, config.interval));
        else plan(hasChanged ? gatherMs : config.interval);
      });
    }, ms).unref();
  }

  /** Never rejects. */
  async function report(): Promise<void> {
    if (config === undefined) return;
    const { service, partition } = config;
    hasChanged = false;
    try {
      const path = partition === undefined ? '/status' : `/status/${partition}`;
      const body = Buffer.from(JSON.stringify(document()));
      await post(service, { path, body, gzipped: false, signal: controller.signal });
      failures = 0;
      onReport(undefined);
    } catch (error) {
      if (controller.signal.aborted) return;
      failures += 1;
      onReport(error instanceof ServiceError ? error : new ServiceError(String(error), undefined, { cause: error }));
    }
  }
}
