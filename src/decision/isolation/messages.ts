/**
 * What crosses between the sidecar's thread and the threads that evaluate. Types only.
 *
 * Inputs and results go as JSON text: a string crosses in half the time of an object, and the wasm engine wants text anyway.
 */

import type { PolicyConfig } from '../../configured/policy.ts';
import type { EvaluationCode, PolicyFault } from '../../errors.ts';
import type { EntrypointShape, PolicySet } from '../../types.ts';

/** A policy whose bytes are shared: a thread that is started later reads the same ones, and nothing is copied to hand it over. */
export interface PackedPolicy extends Omit<PolicySet, 'data'> {
  readonly dataText: Uint8Array;
}

/** With which a thread is started. */
export interface ThreadData {
  readonly config: PolicyConfig;
  readonly policy: PackedPolicy;
  /** OPA's module as an earlier thread compiled it, where one did. */
  readonly opaModule?: WebAssembly.Module | undefined;
}

export interface EvaluateMessage {
  readonly id: number;
  readonly entrypoint: string;
  /** But for the time, which has more digits than JSON is read fast with. */
  readonly input: string;
  /** JSON; undefined where the input has none. */
  readonly nowNs: string | undefined;
  /** Until the deadline, ms. */
  readonly leftMs: number;
}

/** What is known of a policy once it is loaded: `LoadedPolicy` without its functions. */
export interface PolicyFacts {
  readonly revision: string;
  readonly entrypoints: readonly string[];
  readonly reads: PolicySet['reads'];
  readonly codes: ReadonlySet<string>;
  readonly deterministic: boolean;
  readonly shapes: ReadonlyMap<string, EntrypointShape>;
  /** What the engine read by itself, for the threads that come later. */
  readonly files: ReadonlyMap<string, Uint8Array> | undefined;
  /** OPA's module if the engine compiled it, which takes 150 ms and 50 MB: shared with the threads that come later. */
  readonly opaModule: WebAssembly.Module | undefined;
}

/** An error without its class, which does not cross. */
export interface Failure {
  readonly message: string;
  readonly stack: string | undefined;
  /** Of an `EvaluationError`. */
  readonly code: EvaluationCode | undefined;
  /** Of a `PolicyError`. */
  readonly faults: readonly PolicyFault[] | undefined;
}

export type ThreadMessage =
  | { readonly kind: 'ready'; readonly facts: PolicyFacts }
  | { readonly kind: 'refused'; readonly failure: Failure }
  | { readonly kind: 'result'; readonly id: number; readonly results: string }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure }
  /** The engine waits for something and has given the thread back. */
  | { readonly kind: 'waiting'; readonly id: number };
