import { isHeld } from '../audit/file/lock.ts';
import { type RequestEvent, type RequestFilter, readRequests } from '../audit/file/requests.ts';
import { csvHeader, toCsvRow, toJsonLine, toTable } from './audit-rows.ts';
import { count } from './output.ts';

export type Wanted = 'table' | 'json' | 'csv';

/** The last requests that fit, in the order in which they ended. @throws (rejects) what the file system throws */
export async function queryRequests(
  file: string,
  filter: RequestFilter,
  { limit, format }: { readonly limit: number; readonly format: Wanted },
  write: (text: string) => void,
): Promise<void> {
  const { requests, left, broken } = await lastRequests(file, filter, limit);
  if (format === 'table') {
    write(requests.length === 0 ? 'No request fits.\n' : toTable(requests));
    if (left > 0) write(`${count(left, 'earlier request')} left out: --limit\n`);
    if (broken > 0) write(`${count(broken, 'line')} could not be read: opallama audit verify\n`);
    return;
  }
  if (format === 'csv') write(csvHeader());
  for (const request of requests) write(format === 'csv' ? toCsvRow(request) : toJsonLine(request));
}

/** All requests that fit. @throws (rejects) what the file system throws */
export async function exportRequests(
  file: string,
  filter: RequestFilter,
  { format }: { readonly format: Wanted },
  write: (text: string) => void,
): Promise<void> {
  const toRow = format === 'csv' ? toCsvRow : toJsonLine;
  if (format === 'csv') write(csvHeader());
  let text = '';
  await readRequests(file, filter, {
    alive: () => isHeld(file),
    tell(request) {
      text += toRow(request);
      if (text.length < 65_536) return;
      write(text);
      text = '';
    },
  });
  write(text);
}

export async function lastRequests(
  file: string,
  filter: RequestFilter,
  limit: number,
): Promise<{ readonly requests: readonly RequestEvent[]; readonly left: number; readonly broken: number }> {
  let requests: RequestEvent[] = [];
  let left = 0;
  const { broken } = await readRequests(file, filter, {
    alive: () => isHeld(file),
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
