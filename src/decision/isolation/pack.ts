/** Policies and errors in the form in which they cross between threads. */
import { EvaluationError, formatFault, PolicyError } from '../../errors.ts';
import { parseExactJson } from '../../exact-json.ts';
import type { LoadedPolicy, PolicySet } from '../../types.ts';
import type { Failure, PackedPolicy, PolicyFacts } from './messages.ts';

/** @param policy with data that is small: making its text blocks this thread */
export function packPolicy({ data, ...policy }: PolicySet): PackedPolicy {
  return sharePolicy({ ...policy, dataText: Buffer.from(JSON.stringify(data)) });
}

/** @returns the same, its bytes shared: what came from another process has its own */
export function sharePolicy(policy: PackedPolicy): PackedPolicy {
  return {
    ...policy,
    wasm: policy.wasm && shareBytes(policy.wasm),
    files: shareFiles(policy.files),
    dataText: shareBytes(policy.dataText),
  };
}

export function unpackPolicy(packed: PackedPolicy): PolicySet {
  let data: Readonly<Record<string, unknown>> | undefined;
  return {
    ...packed,
    // Parsed for engines that want it so.
    get data() {
      data ??= parseData(packed.dataText);
      return data;
    },
    // Decoders refuse shared memory.
    wasm: packed.wasm?.slice(),
    files: new Map([...packed.files].map(([name, bytes]) => [name, new Uint8Array(bytes)])),
  };
}

function parseData(text: Uint8Array): Readonly<Record<string, unknown>> {
  const data = parseExactJson(Buffer.from(text).toString('utf8'));
  if (!isRecord(data)) throw new TypeError('The data of a policy is no object.');
  return data;
}

/** @param wanted entrypoints that may be asked for beside those that it names */
export function describeLoaded(loaded: LoadedPolicy, wanted: readonly string[]): Omit<PolicyFacts, 'opaModule'> {
  const { revision, entrypoints, reads, codes, deterministic, files } = loaded;
  const names = new Set([...entrypoints, ...wanted]);
  const shapes = new Map([...names].map((name) => [name, loaded.shape(name)]));
  return { revision, entrypoints, reads, codes, deterministic, shapes, files };
}

export function shareFiles(files: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, Uint8Array> {
  return new Map([...files].map(([name, bytes]) => [name, shareBytes(bytes)]));
}

export function shareBytes(bytes: Uint8Array): Uint8Array {
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
  shared.set(bytes);
  return shared;
}

export function packFailure(thrown: unknown): Failure {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  return {
    message: error.message,
    stack: error.stack,
    code: error instanceof EvaluationError ? error.code : undefined,
    faults: error instanceof PolicyError ? error.faults : undefined,
  };
}

/** @returns an error of the class that was thrown, as far as anyone tells classes apart */
export function unpackFailure(failure: Failure): Error {
  const error =
    failure.faults !== undefined
      ? new PolicyError(withoutFaults(failure.message, failure.faults), failure.faults)
      : failure.code !== undefined
        ? new EvaluationError(failure.code, failure.message)
        : new Error(failure.message);
  // Where it was thrown, for the log; where it was unpacked tells nobody anything.
  if (failure.stack !== undefined) error.stack = failure.stack;
  return error;
}

/** A `PolicyError` adds its faults to its text. */
function withoutFaults(message: string, faults: PolicyError['faults']): string {
  const added = faults.map((fault) => `\n${formatFault(fault)}`).join('');
  return message.endsWith(added) ? message.slice(0, message.length - added.length) : message;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
