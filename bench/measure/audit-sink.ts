/** The audit file by itself: CPU that a request's two lines take, from the event to the file, without any socket. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';

import { type FileSinkEvents, openFileSink } from '../../src/audit/file/file-sink.ts';
import { createAuditRecorded, decisionIn } from '../../src/audit/sink.ts';
import type { AuditEvent } from '../../src/types.ts';
import { medianOf } from './statistics.ts';

export interface SinkCost {
  /** Of the quickest round each: where the machine does something else besides, its caches and its time are not ours. */
  readonly bestUs: number;
  readonly middleUs: number;
}

const rounds = 30;
const bursts = 40;
/** Requests that end together, as they do in the batches of the record. */
const burst = 50;

/** As a chat has it, whose policy reads all that is no content; its JSON has some 2 KB. */
const event: AuditEvent = {
  time: '2026-11-21T10:47:49.338Z',
  request_id: '0f8fad5b-d9cb-469f-a165-70867728950e',
  decision_id: '7c9e6679-7425-40de-944b-e07fc1f90ae7',
  principal: 'alice',
  agent_role: 'developer',
  tenant: 'acme',
  api: 'ollama',
  operation: 'chat',
  model: 'llama3.2',
  provider: 'ollama',
  target: 'http://127.0.0.1:11434',
  policy_result: 'allow',
  reasons: [],
  revision: 'abcdef123456',
  method: 'POST',
  path: '/api/chat',
  has_system_prompt: true,
  has_tools: false,
  message_count: 4,
  stream: false,
  engine: 'wasm',
  status: 200,
  usage: 'known',
  input_tokens: 240,
  output_tokens: 80,
  finish_reason: 'stop',
  time_to_first_token_ms: 120.5,
  duration_ms: 800.123,
  outcome: 'complete',
  tool_name: 'ollama-api',
  mcp_server: 'ollama-proxy',
  action: 'POST',
  input: { version: 1, filler: 'x'.repeat(1200) },
};

/** What the disk alone takes for a line, ms in the middle: a request that waits for it can't be quicker. */
export async function measureDisk(directory: string): Promise<number> {
  const file = await open(join(directory, 'disk'), constants.O_CREAT | constants.O_WRONLY | constants.O_DSYNC);
  const line = Buffer.alloc(500, 'x');
  const times: number[] = [];
  for (let at = 0; at < 100; at += 1) {
    // As far apart as the requests are.
    await sleep(5);
    const startedMs = performance.now();
    await file.write(line);
    times.push(performance.now() - startedMs);
  }
  await file.close();
  return medianOf(times);
}

/** Standard output has the JSON of an event as well, so that to make it is no cost of the file. */
export async function measureSink(directory: string): Promise<SinkCost> {
  const fail = (error: unknown): never => {
    throw error;
  };
  const events: FileSinkEvents = {
    lost: (_lines, error) => fail(error),
    unrecorded: () => {},
    failing: fail,
    recovered: () => {},
    notRotated: fail,
    torn: () => {},
    removed: () => {},
  };
  const sink = await openFileSink(
    {
      path: join(directory, 'sink', 'audit.jsonl'),
      durability: 'async',
      onFailure: 'continue',
      rotate: { size: 64 * 1024 * 1024, every: 0 },
      keep: { forMs: 0, bytes: 1024 * 1024 * 1024 },
      heads: undefined,
    },
    { version: 'bench', sendHead: () => {}, events },
  );
  const [without, having]: [number[], number[]] = [[], []];
  for (let round = -5; round < rounds; round += 1) {
    const [one, other] = [await run(undefined), await run(sink)];
    // The first ones warm up.
    if (round < 0) continue;
    without.push(one);
    having.push(other);
  }
  await sink.close();
  return { bestUs: Math.min(...having) - Math.min(...without), middleUs: medianOf(having) - medianOf(without) };

  async function run(to: typeof sink | undefined): Promise<number> {
    const { user, system } = process.cpuUsage();
    for (let at = 0; at < bursts; at += 1) {
      for (let request = 0; request < burst; request += 1) {
        // As the recorder does it: who takes a line some time later finds its JSON in that of the whole request.
        to?.admit?.(() => decisionIn(recorded.json()) ?? '');
        const recorded = createAuditRecorded({ ...event });
        recorded.json();
        to?.write(recorded);
      }
      await setImmediate();
    }
    // What waits is written now and not by the next round.
    await to?.settle();
    const used = process.cpuUsage();
    return (used.user + used.system - user - system) / (bursts * burst);
  }
}
