import { open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { isHeld } from '../audit/file/lock.ts';
import { createJoin, lastRequests, type RequestEvent, type RequestFilter } from '../audit/file/requests.ts';
import type { Wanted } from './audit-query.ts';
import { toJsonLine, toTable } from './audit-rows.ts';
import type { CliDeps } from './config-options.ts';

const pollMs = 300;
const chunkBytes = 256 * 1024;
const lineFeed = 0x0a;

/**
 * The last requests, and with `follow` those that end from now on, until the process is stopped. Whoever reads slowly is
 * waited for.
 */
export async function tailRequests(
  file: string,
  filter: RequestFilter,
  { limit, follow, format }: { readonly limit: number; readonly follow?: true; readonly format: Wanted },
  { write, drained }: Pick<CliDeps, 'write' | 'drained'>,
): Promise<void> {
  const print = (requests: readonly RequestEvent[], isFirst: boolean): void =>
    write(format === 'json' ? requests.map(toJsonLine).join('') : toTable(requests, isFirst));
  if (follow !== true) {
    print((await lastRequests(file, filter, limit, () => isHeld(file))).requests, true);
    return;
  }
  // What was there is told too; of what is written from here on nothing is missed.
  let ended: RequestEvent[] = [];
  const join = createJoin(filter, (request) => ended.push(request));
  let isFirst = true;
  for await (const { lines, isAll } of followLines(file)) {
    for (const line of lines) join.take(line);
    if (isFirst) ended = ended.slice(-limit);
    if (isFirst && !isAll) continue;
    if (isFirst || ended.length > 0) print(ended, isFirst);
    [isFirst, ended] = [false, []];
    await drained?.();
  }
}

interface Lines {
  readonly lines: readonly Buffer[];
  /** There are no more at the moment. */
  readonly isAll: boolean;
}

/** Lines of the file that is written, over rotations: first all that is there, then what comes. */
async function* followLines(path: string): AsyncGenerator<Lines> {
  let handle = await open(path, 'r');
  let position = 0;
  let rest = Buffer.alloc(0);
  try {
    while (true) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, position);
      position += bytesRead;
      const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
      const end = bytes.lastIndexOf(lineFeed);
      rest = bytes.subarray(end + 1);
      yield { lines: splitLines(bytes, end), isAll: bytesRead === 0 };
      if (bytesRead > 0) continue;
      const [own, there] = [await handle.stat(), await stat(path).catch(() => undefined)];
      if (there !== undefined && there.ino !== own.ino && own.size === position) {
        await handle.close();
        handle = await open(path, 'r');
        [position, rest] = [0, Buffer.alloc(0)];
      } else await sleep(pollMs);
    }
  } finally {
    await handle.close();
  }
}

/** @param end where the last line ends */
function splitLines(bytes: Buffer, end: number): readonly Buffer[] {
  const lines: Buffer[] = [];
  for (let at = 0; at <= end; ) {
    const next = bytes.indexOf(lineFeed, at);
    lines.push(bytes.subarray(at, next));
    at = next + 1;
  }
  return lines;
}
