/** The thread of `combine-delta.ts`. */
import { parentPort, workerData } from 'node:worker_threads';

import { PolicyError } from '../errors.ts';
import { type CombineOptions, type CombineReply, combineDelta } from './combine-delta.ts';

async function combine(options: CombineOptions): Promise<CombineReply> {
  try {
    return { combined: await combineDelta(options) };
  } catch (error) {
    // What is no fault of the delta's is as little a reason to stop.
    const summary = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    return { failure: { summary: summary ?? '', faults: error instanceof PolicyError ? error.faults : [] } };
  }
}

const options: CombineOptions = workerData;
parentPort?.postMessage(await combine(options));
