/**
 * Exemplars: for a bucket, or a counter's series, the latest request that was counted there, so that a spike leads to a
 * trace and to an audit event. They are no series: what a caller chose stands in them, and there is one for each place at
 * most. Kept only while somebody asks for them, and of some of the requests: counting must not cost more.
 */
import type { AuditEvent, Measures } from '../types.ts';

export interface Exemplar {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Unix time in seconds. */
  readonly timeS: number;
}

export type Labels = Readonly<Record<string, string | number>>;

export interface Exemplars {
  /** Somebody reads them; they are kept for the next ten minutes. */
  wanted(): void;
  /** @returns what to name the request by; undefined where it is not one to point at */
  choose(event: AuditEvent, measures: Measures): Exemplar['labels'] | undefined;
  /** @param place as of `bucketOf`; empty for a counter */
  keep(metric: string, labels: Labels, place: string, exemplar: Exemplar): void;
  find(metric: string, labels: Labels, place: string): Exemplar | undefined;
}

const wantedForMs = 600_000;
/** One that is nothing special, so often. */
const pauseMs = 100;
/** All of them, in a second: whoever sends a trace with each request must not make each one cost more. */
const mostInASecond = 50;
/** Places, far beyond those of the series that can be: only of revisions that came and went are any left behind. */
const mostPlaces = 20_000;
/** Of names and values together, by OpenMetrics 1.0. */
const mostCharacters = 128;
/** What an operator would want to look at. */
const slowOverheadS = 0.005;
const slowDecisionS = 0.001;

export function createExemplars(now: () => number = Date.now): Exemplars {
  const kept = new Map<string, Exemplar>();
  let wantedUntilMs = Number.NEGATIVE_INFINITY;
  let latestMs = Number.NEGATIVE_INFINITY;
  let second = 0;
  let inSecond = 0;

  return {
    wanted() {
      wantedUntilMs = now() + wantedForMs;
    },
    choose(event, measures) {
      const nowMs = now();
      if (nowMs > wantedUntilMs) {
        if (kept.size > 0) kept.clear();
        return undefined;
      }
      if (nowMs - latestMs < pauseMs && !isSpecial(event, measures)) return undefined;
      const current = Math.floor(nowMs / 1000);
      if (current !== second) [second, inSecond] = [current, 0];
      if (inSecond >= mostInASecond) return undefined;
      inSecond += 1;
      latestMs = nowMs;
      return nameRequest(event);
    },
    keep(metric, labels, place, exemplar) {
      if (kept.size >= mostPlaces) kept.clear();
      kept.set(keyOf(metric, labels, place), exemplar);
    },
    find: (metric, labels, place) => kept.get(keyOf(metric, labels, place)),
  };
}

function isSpecial(event: AuditEvent, { traceSampled, overheadS, decisionS }: Measures): boolean {
  return (
    traceSampled === true ||
    event.outcome !== 'complete' ||
    event.status >= 400 ||
    (overheadS !== undefined && overheadS > slowOverheadS) ||
    (decisionS !== undefined && decisionS > slowDecisionS)
  );
}

function nameRequest({ request_id, trace_id }: AuditEvent): Exemplar['labels'] | undefined {
  const labels = { ...(trace_id !== undefined && { trace_id }), request_id };
  if (Object.entries(labels).join('').length <= mostCharacters) return labels;
  return trace_id === undefined ? undefined : { trace_id };
}

/** @returns the upper bound of the bucket that a value falls into, as the label `le` has it */
export function bucketOf(boundaries: readonly number[], value: number): string {
  const bound = boundaries.find((boundary) => value <= boundary);
  return bound === undefined ? '+Inf' : String(bound);
}

function keyOf(metric: string, labels: Labels, place: string): string {
  const named = Object.keys(labels)
    .sort()
    .map((name) => `${name}=${labels[name]}`);
  return [metric, place, ...named].join('\n');
}
