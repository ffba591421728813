/**
 * Rego compiled to WebAssembly, evaluated in this thread (`compiled/`). Built-ins that the module does not have itself are
 * answered by the host or by OPA's own code, and what nobody answers is refused when the policy is loaded.
 */
import { isMainThread } from 'node:worker_threads';

import { EvaluationError, PolicyError } from '../../errors.ts';
import { compileOpaModule, isOpaModuleBuilt } from '../../opa-module/module-file.ts';
import type { DecisionEngine, LoadedPolicy, PolicyInput, PolicySet } from '../../types.ts';
import { type Builtins, createBuiltins, type OpaModuleSource } from './compiled/builtins.ts';
import { instantiatePolicy, PolicyAbort, type PolicyModule } from './compiled/policy-module.ts';
import { warmApart } from './compiled/warm-apart.ts';
import { createInputSelector } from './select-input.ts';

const pageBytes = 64 * 1024;
/** What 32 bits address. */
const mostBytes = 2 ** 32;
/** What a policy without data needs. */
const initialPages = 5;
/** Pages of memory for each byte of data: parsed values take some ten times their JSON. */
const memoryPerDataByte = 12;
/** Of a compiled policy; OPA's own runtime takes some 250 KB of each. What is smaller is warm in a millisecond. */
const largeModuleBytes = 512 * 1024;

export interface WasmEngineOptions {
  /**
   * OPA's module, compiled; asked for only if a policy calls built-ins that only OPA has. A worker thread is handed what its
   * parent compiled. Undefined: there is none. By default what `npm run build:opa` made, if it is there.
   */
  readonly opaModule?: OpaModuleSource | undefined;
  /** Of one instance at most, bytes; what WebAssembly allows by default. */
  readonly memory?: number | undefined;
}

export function createWasmEngine(options: WasmEngineOptions = {}): DecisionEngine {
  const built = isOpaModuleBuilt() ? () => compileOpaModule() : undefined;
  const opaModule = 'opaModule' in options ? options.opaModule : built;
  return { name: 'wasm', needs: 'wasm', load: (policy) => load(policy, opaModule, options.memory ?? mostBytes) };
}

/** @throws PolicyError where the module is no policy, or calls built-ins that nobody answers */
async function load(
  policy: PolicySet,
  opaModule: OpaModuleSource | undefined,
  memoryBytes: number,
): Promise<LoadedPolicy> {
  const module = await compile(policy.wasm);
  const data = policy.dataText ?? Buffer.from(JSON.stringify(policy.data));
  const maximumPages = Math.max(initialPages, Math.floor(Math.min(memoryBytes, mostBytes) / pageBytes));
  let builtins: Builtins | undefined;
  const instantiate = (): PolicyModule =>
    instantiatePolicy(module, {
      data,
      // Growing step by step while data is parsed costs seconds for a few megabytes; sized in advance it does not.
      initialPages: Math.min(initialPages + Math.ceil((data.length * memoryPerDataByte) / pageBytes), maximumPages),
      maximumPages,
      callBuiltin: (memory, id, args) => {
        if (builtins === undefined) throw new Error('The policy calls a built-in before it is asked.');
        return builtins.call(memory, id, args);
      },
    });

  const first = guardThrows(instantiate, data.length, memoryBytes);
  builtins = await createBuiltins(first.imports, opaModule);
  const { begin } = builtins;
  // In a thread of the policy's own nobody else waits.
  if (isMainThread && (policy.wasm?.length ?? 0) > largeModuleBytes) await warmApart(module);

  /** Of one instance after the other: a trap leaves its memory in pieces. */
  let current: PolicyModule | undefined = first;
  /** Whether the instance has given up on an evaluation: some of its stack is lost, and the next trap may be for that. */
  let hasAborted = false;

  function evaluate(entrypoint: string, input: PolicyInput): readonly unknown[] {
    const isFresh = current === undefined;
    if (current === undefined) {
      current = instantiate();
      hasAborted = false;
    }
    const id = current.entrypoints[entrypoint];
    if (id === undefined) throw new Error(`The policy has no entrypoint ${entrypoint}.`);
    begin({ nowNs: input.now_ns, id: input.decision_id });
    try {
      return readResults(current.evaluate(id, select(input)));
    } catch (error) {
      if (isOutOfMemory(error)) {
        current = undefined;
        throw new EvaluationError('policy_memory', `The policy used more than policy.memory, ${memoryBytes} bytes.`, {
          cause: error,
        });
      }
      if (error instanceof PolicyAbort) {
        hasAborted = true;
        throw error;
      }
      current = undefined;
      if (hasAborted && !isFresh) return evaluate(entrypoint, input);
      throw error;
    }
  }

  const select = createInputSelector(policy.reads);

  return {
    revision: policy.revision,
    entrypoints: Object.keys(first.entrypoints),
    reads: policy.reads,
    codes: policy.codes,
    deterministic: policy.deterministic,
    shape: (entrypoint) => policy.shapes.get(entrypoint) ?? 'unknown',
    evaluate,
    async close() {
      current = undefined;
    },
  };
}

async function compile(wasm: Uint8Array | undefined): Promise<WebAssembly.Module> {
  if (wasm === undefined) throw new PolicyError('The policy was not compiled, and the wasm engine needs it to be.');
  try {
    return await WebAssembly.compile(new Uint8Array(wasm));
  } catch (error) {
    throw new PolicyError('policy.wasm is not a WebAssembly module. Build the bundle again.', [], { cause: error });
  }
}

function guardThrows(instantiate: () => PolicyModule, dataBytes: number, memoryBytes: number): PolicyModule {
  try {
    return instantiate();
  } catch (error) {
    if (isOutOfMemory(error)) {
      throw new PolicyError(
        `The policy's data, ${dataBytes} bytes of JSON, does not fit into policy.memory, ${memoryBytes} bytes: it takes up to ${memoryPerDataByte} times its size.`,
        [],
        { cause: error },
      );
    }
    throw new PolicyError(
      `policy.wasm is not a policy that OPA compiled: ${toError(error).message}. Build the bundle again.`,
      [],
      { cause: error },
    );
  }
}

/** The module gives a set of `{"result": value}`, empty where the entrypoint is undefined. */
function readResults(resultSet: unknown): readonly unknown[] {
  if (!Array.isArray(resultSet)) throw new Error('The policy runtime gave no result set.');
  return resultSet.map((element: unknown) =>
    typeof element === 'object' && element !== null && 'result' in element ? element.result : undefined,
  );
}

/** By their words, because neither the policy's allocator nor V8 has a code for it. */
function isOutOfMemory(thrown: unknown): boolean {
  const { message } = toError(thrown);
  return message.includes('opa_malloc: failed') || /WebAssembly\.Memory(?:\.grow)?\(\)/.test(message);
}

function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  if (typeof thrown === 'string') return new Error(thrown);
  if (typeof thrown === 'object' && thrown !== null && 'message' in thrown) return new Error(String(thrown.message));
  return new Error('The policy runtime failed without saying why.');
}
