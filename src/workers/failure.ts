import { packFailure, unpackFailure } from '../decision/isolation/pack.ts';
import { ConfigError } from '../errors.ts';
import type { WorkerFailure } from './messages.ts';

/** An error in the form in which it crosses between processes. */
export function packError(thrown: unknown): WorkerFailure {
  return {
    ...packFailure(thrown),
    configFaults: thrown instanceof ConfigError ? thrown.faults : undefined,
    errno: thrown instanceof Error && 'code' in thrown && 'syscall' in thrown ? String(thrown.code) : undefined,
  };
}

/** @returns an error of the class that was thrown, as far as anyone tells classes apart */
export function unpackError(failure: WorkerFailure): Error {
  if (failure.configFaults !== undefined) return new ConfigError(failure.configFaults);
  const error = unpackFailure(failure);
  return failure.errno === undefined ? error : Object.assign(error, { code: failure.errno });
}
