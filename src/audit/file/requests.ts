/**
 * Requests as the audit file tells of them: a `decision` and its `completion` as one event. A `decision` without its
 * `completion` is a request that was lost with its process, or one that has not ended yet.
 */
import { existsSync } from 'node:fs';

import { toLineJson } from '../sink.ts';
import { eachLine, type FileLine } from './each-line.ts';
import { listClosed } from './segments.ts';

/** Members of the audit event, `input` too; `outcome` is `lost` or `pending` where there is no completion. */
export type RequestEvent = Readonly<Record<string, unknown>>;

export interface RequestFilter {
  /** Of when the request came, Unix time in ms. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  readonly principal?: string | undefined;
  readonly model?: string | undefined;
  readonly provider?: string | undefined;
  /** `policy_result` */
  readonly result?: string | undefined;
  readonly outcome?: string | undefined;
}

export interface Joined {
  /** Takes the next line of the log. */
  take(line: Buffer): void;
  /** Nothing comes any more. @param alive the writer still runs: what has no completion has not ended */
  end(alive: boolean): void;
  /** Lines that could not be read. */
  broken(): number;
}

/** Requests that have not ended, at most; more than the sidecar can hold at once. */
const mostOpen = 1_000_000;

/** @param tell is handed each request that fits, in the order in which they ended */
export function createJoin(filter: RequestFilter, tell: (request: RequestEvent) => void): Joined {
  const needles = (['principal', 'model', 'provider'] as const).flatMap((name) => {
    const value = filter[name];
    // As it stands in a line, so that others need not be parsed.
    return value === undefined ? [] : [Buffer.from(toLineJson({ [name]: value }).slice(1, -1))];
  });
  const open = new Map<string, RequestEvent>();
  let broken = 0;

  function tellIfFits(request: RequestEvent): void {
    if (fits(request, filter)) tell(request);
  }

  function giveUp(outcome: 'lost' | 'pending'): void {
    for (const decision of open.values()) tellIfFits({ ...decision, outcome });
    open.clear();
  }

  return {
    broken: () => broken,
    take(line) {
      const kind = kindOf(line);
      if (kind === undefined) {
        broken += 1;
        return;
      }
      if (kind !== 'decision' && kind !== 'completion' && kind !== 'open') return;
      if (kind !== 'open' && !needles.every((needle) => line.includes(needle))) return;
      const facts = parse(line);
      if (facts === undefined) {
        broken += 1;
        return;
      }
      const { seq: _seq, prev: _prev, event: _event, hash: _hash, ...event } = facts;
      const id = `${event['request_id']} ${event['decision_id']}`;
      if (kind === 'decision') {
        open.set(id, event);
        if (open.size > mostOpen) open.delete(open.keys().next().value ?? '');
      } else if (kind === 'completion') {
        open.delete(id);
        tellIfFits(event);
      } else if (event['reason'] === 'start') {
        // Whoever had those is gone.
        giveUp('lost');
      }
    },
    end: (alive) => giveUp(alive ? 'pending' : 'lost'),
  };
}

/**
 * The files of a log that may tell of requests from a time on, the oldest first.
 *
 * @param path of the file that is written
 */
export function listFiles(path: string, sinceMs = 0): readonly string[] {
  // A request stands in no file that was closed before it came.
  const closed = listClosed(path);
  const wanted = closed.filter(({ writtenMs }) => writtenMs >= sinceMs).map((segment) => segment.path);
  // A crash between two files leaves none that is written.
  return closed.length > 0 && !existsSync(path) ? wanted : [...wanted, path];
}

/** @throws (rejects) what the file system throws, but for a file that retention took away meanwhile */
export async function readRequests(
  path: string,
  filter: RequestFilter,
  options: {
    readonly alive: () => boolean;
    readonly tell: (request: RequestEvent) => void;
    /** As of `eachLine`: for who can't take requests as quickly as they are read. */
    readonly rest?: (() => Promise<void> | undefined) | undefined;
  },
): Promise<{ readonly broken: number }> {
  const join = createJoin(filter, options.tell);
  for (const file of listFiles(path, filter.sinceMs)) {
    try {
      const take = ({ bytes, ended }: FileLine): boolean => {
        // A last line without an end is being written.
        if (ended) join.take(bytes ?? Buffer.alloc(0));
        return true;
      };
      await eachLine(file, take, options.rest);
    } catch (error) {
      const isGone = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (!isGone || file === path) throw error;
    }
  }
  join.end(options.alive());
  return { broken: join.broken() };
}

/**
 * The last requests that fit, in the order in which they ended, and how many earlier ones fit too.
 *
 * @param alive the writer still runs
 * @throws (rejects) as `readRequests`
 */
export async function lastRequests(
  file: string,
  filter: RequestFilter,
  limit: number,
  alive: () => boolean,
): Promise<{ readonly requests: readonly RequestEvent[]; readonly left: number; readonly broken: number }> {
  let requests: RequestEvent[] = [];
  let left = 0;
  const { broken } = await readRequests(file, filter, {
    alive,
    tell(request) {
      requests.push(request);
      // Now and then, not for each of them.
      if (requests.length < limit * 2) return;
      left += requests.length - limit;
      requests = requests.slice(-limit);
    },
  });
  left += Math.max(0, requests.length - limit);
  return { requests: requests.slice(-limit), left, broken };
}

const head = /^\{"seq":\d{1,15},"prev":"[0-9a-f]{64}","event":"([a-z_]{1,32})",/;

function kindOf(line: Buffer): string | undefined {
  return head.exec(line.toString('latin1', 0, 160))?.[1];
}

function parse(line: Buffer): RequestEvent | undefined {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function fits(request: RequestEvent, filter: RequestFilter): boolean {
  const { sinceMs, untilMs, principal, model, provider, result, outcome } = filter;
  if (sinceMs !== undefined || untilMs !== undefined) {
    const ms = Date.parse(String(request['time']));
    if (!(ms >= (sinceMs ?? Number.NEGATIVE_INFINITY) && ms < (untilMs ?? Number.POSITIVE_INFINITY))) return false;
  }
  return (
    (principal === undefined || request['principal'] === principal) &&
    (model === undefined || request['model'] === model) &&
    (provider === undefined || request['provider'] === provider) &&
    (result === undefined || request['policy_result'] === result) &&
    (outcome === undefined || request['outcome'] === outcome)
  );
}
