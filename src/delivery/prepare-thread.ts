/** The thread of `prepare-apart.ts`. */
import { parentPort, workerData } from 'node:worker_threads';

import { packFailure, packPolicy } from '../decision/isolation/pack.ts';
import { preparePolicy } from '../policy/prepare.ts';
import { createToolchain } from '../policy/toolchain/toolchain.ts';
import type { PrepareApartOptions, PrepareReply } from './prepare-apart.ts';

async function prepare({ searchPath, runTests, ...options }: PrepareApartOptions): Promise<PrepareReply> {
  const toolchain = createToolchain({ path: searchPath });
  try {
    const { policy, ...prepared } = await preparePolicy({
      ...options,
      toolchain,
      ...(runTests !== undefined && { runTests }),
    });
    return { prepared: { ...prepared, policy: packPolicy(policy) } };
  } catch (error) {
    return { failure: packFailure(error) };
  } finally {
    await toolchain.close();
  }
}

const options: PrepareApartOptions = workerData;
parentPort?.postMessage(await prepare(options));
