/**
 * A thread that evaluates one policy: loads it and answers, one message for each evaluation. Whatever runs here can be
 * ended from outside at any moment; that is what the thread is for.
 */
import { parentPort, workerData } from 'node:worker_threads';

import { EvaluationError } from '../../errors.ts';
import { parseExactJson } from '../../exact-json.ts';
import { findOpaModule, takeOpaModule } from '../../opa-module/module-file.ts';
import type { LoadedPolicy, PolicyInput } from '../../types.ts';
import { createEngine } from '../engines/table.ts';
import type { EvaluateMessage, ThreadData, ThreadMessage } from './messages.ts';
import { describeLoaded, packFailure, shareFiles, unpackPolicy } from './pack.ts';

const port = parentPort;
if (port === null) throw new Error('This file is run as a thread of the sidecar.');

// Standard output is for audit events.
Object.defineProperty(process, 'stdout', { value: process.stderr });

const send = (message: ThreadMessage): void => port.postMessage(message);

async function start(data: ThreadData): Promise<void> {
  let loaded: LoadedPolicy;
  if (data.opaModule !== undefined) takeOpaModule(data.opaModule);
  try {
    const engine = await createEngine(data.config);
    loaded = await engine.load(unpackPolicy(data.policy));
  } catch (error) {
    send({ kind: 'refused', failure: packFailure(error) });
    return;
  }
  port?.on('message', (message: EvaluateMessage) => evaluate(loaded, message));
  const facts = describeLoaded(loaded, data.policy.entrypoints);
  const files = facts.files && shareFiles(facts.files);
  send({ kind: 'ready', facts: { ...facts, files, opaModule: await findOpaModule() } });
}

function evaluate(loaded: LoadedPolicy, { id, entrypoint, input, nowNs, leftMs }: EvaluateMessage): void {
  const fail = (error: unknown): void => send({ kind: 'failed', id, failure: packFailure(error) });
  try {
    const evaluated = loaded.evaluate(entrypoint, readInput(input, nowNs));
    if (!(evaluated instanceof Promise)) {
      send({ kind: 'result', id, results: JSON.stringify(evaluated) });
      return;
    }
    send({ kind: 'waiting', id });
    // What waits holds up nobody: it is given up without the thread.
    const timer = setTimeout(() => fail(new EvaluationError('policy_deadline')), leftMs);
    evaluated
      .then((results) => send({ kind: 'result', id, results: JSON.stringify(results) }))
      .catch(fail)
      .finally(() => clearTimeout(timer));
  } catch (error) {
    fail(error);
  }
}

/** The document as the other thread had it, member by member. */
function readInput(text: string, nowNs: string | undefined): PolicyInput {
  const read = parseExactJson(text);
  if (!isInput(read)) throw new TypeError('The input is no object.');
  return nowNs === undefined ? read : Object.assign(read, { now_ns: parseExactJson(nowNs) });
}

function isInput(value: unknown): value is PolicyInput {
  return typeof value === 'object' && value !== null;
}

const data: ThreadData = workerData;
await start(data);
