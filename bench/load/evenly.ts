/** Open-loop load: one request each 1/rate s, whether the ones before have ended or not. */
import { setTimeout as sleep } from 'node:timers/promises';

import { type Connection, openConnection } from './connection.ts';

export interface EvenLoad {
  readonly port: number;
  readonly request: Buffer;
  /** Requests a second. */
  readonly rate: number;
  readonly durationMs: number;
}

/** Most that are under way at once: behind that the machine does not keep up, and the ones that wait say so. */
const connections = 8;

/** @returns of each request the time to the first byte of its answer, ms @throws where an answer is not 200 */
export async function askEvenly({ port, request, rate, durationMs }: EvenLoad): Promise<readonly number[]> {
  const all: Connection[] = await Promise.all(Array.from({ length: connections }, () => openConnection(port)));
  const idle = [...all];
  const times: number[] = [];
  const asked: Promise<void>[] = [];
  const startedMs = performance.now();
  for (let at = 0; at < (durationMs / 1000) * rate; at += 1) {
    const dueMs = startedMs + (at * 1000) / rate;
    // A timer takes a millisecond at least: at high rates those of one come together.
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const connection = idle.pop();
    if (connection === undefined) continue;
    asked.push(
      connection.ask(request).then(({ firstByteMs, status }) => {
        if (status !== 200) throw new Error(`An answer of port ${port} has status ${status}.`);
        times.push(firstByteMs);
        idle.push(connection);
      }),
    );
  }
  try {
    await Promise.all(asked);
  } finally {
    for (const connection of all) connection.close();
  }
  return times;
}
