import { isHeld } from '../audit/file/lock.ts';
import { lastRequests, type RequestFilter, readRequests } from '../audit/file/requests.ts';
import { csvHeader, toCsvRow, toJsonLine, toTable } from './audit-rows.ts';
import type { CliDeps } from './config-options.ts';
import { count } from './output.ts';

export type Wanted = 'table' | 'json' | 'csv';

/** The last requests that fit, in the order in which they ended. @throws (rejects) what the file system throws */
export async function queryRequests(
  file: string,
  filter: RequestFilter,
  { limit, format }: { readonly limit: number; readonly format: Wanted },
  write: (text: string) => void,
): Promise<void> {
  const { requests, left, broken } = await lastRequests(file, filter, limit, () => isHeld(file));
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
  { write, drained }: Pick<CliDeps, 'write' | 'drained'>,
): Promise<void> {
  const toRow = format === 'csv' ? toCsvRow : toJsonLine;
  if (format === 'csv') write(csvHeader());
  let text = '';
  await readRequests(file, filter, {
    alive: () => isHeld(file),
    rest: drained,
    tell(request) {
      text += toRow(request);
      if (text.length < 65_536) return;
      write(text);
      text = '';
    },
  });
  write(text);
}
