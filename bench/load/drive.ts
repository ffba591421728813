/** Closed-loop load: each connection asks again as soon as its answer is whole. */

import { openConnection } from './connection.ts';
import { expectedBytes, type Kind } from './exchanges.ts';

export interface Load {
  readonly port: number;
  readonly kind: Kind;
  readonly frames: number;
  readonly request: Buffer;
  readonly connections: number;
  /** No request is begun after this, ms. */
  readonly durationMs: number;
  /** What is in between writes answers of its own: that they are whole is all that can be said of them. */
  readonly rewritten?: boolean;
}

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  /** For each request, ms. */
  readonly firstByteMs: readonly number[];
  /** Reads that brought body, all requests together. */
  readonly reads: number;
}

/** @throws where an answer is not a whole 200 with the bytes that the upstream has for this caller */
export async function drive(load: Load): Promise<LoadResult> {
  const connections = await Promise.all(Array.from({ length: load.connections }, () => openConnection(load.port)));
  const expected = expectedBytes(load.kind, load.frames);
  const firstByteMs: number[] = [];
  let reads = 0;
  const startedMs = performance.now();
  const untilMs = startedMs + load.durationMs;
  try {
    await Promise.all(
      connections.map(async (connection) => {
        do {
          const answer = await connection.ask(load.request);
          if (answer.status !== 200 || (load.rewritten !== true && answer.bodyBytes !== expected)) {
            throw new Error(
              `An answer of port ${load.port} has status ${answer.status} and ${answer.bodyBytes} bytes instead of 200 and ${expected}.`,
            );
          }
          firstByteMs.push(answer.firstByteMs);
          reads += answer.reads;
        } while (performance.now() < untilMs);
      }),
    );
  } finally {
    for (const connection of connections) connection.close();
  }
  return { requests: firstByteMs.length, seconds: (performance.now() - startedMs) / 1000, firstByteMs, reads };
}
