/**
 * Rego compiled to WebAssembly, run by @open-policy-agent/opa-wasm in this thread.
 *
 * What the runtime does on its own and what is done about it: it throws strings and plain objects as well as Errors (they
 * are made Errors), finds a missing built-in only when a rule calls it (the imports are checked at load), and evaluates
 * malformed JSON silently when given a buffer (it is given values).
 */
import { createRequire } from 'node:module';

import { loadPolicy, type LoadedPolicy as WasmPolicy } from '@open-policy-agent/opa-wasm';

import { PolicyError } from '../../errors.ts';
import type { DecisionEngine, LoadedPolicy, PolicyInput, PolicySet } from '../../types.ts';

const pageBytes = 64 * 1024;
/** The runtime's own default. */
const initialPages = 5;
/** Pages of memory for each byte of data: parsed values take some ten times their JSON. */
const memoryPerDataByte = 12;

/**
 * `regex.split` of the runtime is JavaScript's backtracking one: 28 characters can hold the thread for a minute, and an
 * inline evaluation can't be interrupted.
 */
const refusedBuiltins: ReadonlySet<string> = new Set(['regex.split']);

export function createWasmEngine(): DecisionEngine {
  return { name: 'wasm', needs: 'wasm', load };
}

/** @throws PolicyError where the module is no policy, or calls built-ins that are not here. */
async function load(policy: PolicySet): Promise<LoadedPolicy> {
  const module = await compile(policy.wasm);
  const data = JSON.stringify(policy.data);
  // Growing the memory step by step while data is parsed costs seconds for a few megabytes; sized in advance it does not.
  const memory = { initial: initialPages + Math.ceil((data.length * memoryPerDataByte) / pageBytes) };
  /** The clock of the decision that is being made: one reading, as OPA promises for a query. */
  let nowNs = 0;
  const instantiate = async (): Promise<WasmPolicy> => {
    const instance = await loadPolicy(module, { ...memory }, { 'time.now_ns': () => nowNs });
    instance.setData(policy.data);
    return instance;
  };
  const evaluateBy = (instance: WasmPolicy, entrypoint: string, input: PolicyInput): readonly unknown[] => {
    nowNs = input.now_ns;
    try {
      return readResults(instance.evaluate(select(input), entrypoint));
    } catch (error) {
      // A trap may leave the memory in pieces: the next evaluation gets a new instance.
      current = undefined;
      throw toError(error);
    }
  };

  // Writing the input into the module's memory and parsing it there costs more than many a rule.
  const members = policy.reads.all ? undefined : [...policy.reads.members];
  const select = (input: PolicyInput): object => (members === undefined ? input : pick(input, members));

  const first = await guardThrows(instantiate);
  checkBuiltins(first);
  let current: WasmPolicy | undefined = first;

  return {
    revision: policy.revision,
    entrypoints: Object.keys(first.entrypoints),
    reads: policy.reads,
    codes: policy.codes,
    deterministic: policy.deterministic,
    shape: (entrypoint) => policy.shapes.get(entrypoint) ?? 'unknown',
    evaluate(entrypoint, input) {
      if (current !== undefined) return evaluateBy(current, entrypoint, input);
      return instantiate().then((instance) => {
        current = instance;
        return evaluateBy(instance, entrypoint, input);
      });
    },
    async close() {
      current = undefined;
    },
  };
}

/** Absent members stay absent. */
function pick(input: PolicyInput, members: readonly string[]): object {
  const picked: Record<string, unknown> = {};
  for (const member of members) picked[member] = Reflect.get(input, member);
  return picked;
}

async function compile(wasm: Uint8Array | undefined): Promise<WebAssembly.Module> {
  if (wasm === undefined) throw new PolicyError('The policy was not compiled, and the wasm engine needs that.');
  try {
    return await WebAssembly.compile(new Uint8Array(wasm));
  } catch (error) {
    throw new PolicyError('policy.wasm is not a WebAssembly module. Build the bundle again.', [], { cause: error });
  }
}

async function guardThrows(instantiate: () => Promise<WasmPolicy>): Promise<WasmPolicy> {
  try {
    return await instantiate();
  } catch (error) {
    throw new PolicyError(`policy.wasm is not a policy that OPA compiled: ${toError(error).message}`, [], {
      cause: error,
    });
  }
}

/** @throws PolicyError that lists what the policy calls and nobody answers. */
function checkBuiltins(instance: WasmPolicy): void {
  const missing = requiredBuiltins(instance).filter((name) => refusedBuiltins.has(name) || !providedBuiltins.has(name));
  if (missing.length === 0) return;
  throw new PolicyError(
    'The policy calls built-in functions that the wasm engine does not have.',
    missing.map((name) => ({
      code: 'unsupported_builtin',
      message: `${name} is not available in compiled policy. Rewrite the rule without it.`,
      file: undefined,
      row: undefined,
      column: undefined,
    })),
  );
}

/** The module lists what it imports from the host by name; the runtime reads the list and keeps it to itself. */
function requiredBuiltins(policy: WasmPolicy): readonly string[] {
  const instance =
    policy.wasmInstance instanceof WebAssembly.Instance ? policy.wasmInstance : policy.wasmInstance.instance;
  const address = call(instance, 'opa_json_dump', call(instance, 'builtins'));
  const bytes = new Uint8Array(policy.mem.buffer);
  const listed: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(address, bytes.indexOf(0, address))));
  return typeof listed === 'object' && listed !== null ? Object.keys(listed) : [];
}

function call(instance: WebAssembly.Instance, name: string, ...args: readonly number[]): number {
  const exported = instance.exports[name];
  if (typeof exported !== 'function')
    throw new PolicyError(`policy.wasm does not export ${name}. Build the bundle again.`);
  return Number(exported(...args));
}

/** The runtime's own table is not part of its exports map, hence by file name. */
const providedBuiltins: ReadonlySet<string> = new Set(['time.now_ns', ...Object.keys(loadRuntimeBuiltins())]);

function loadRuntimeBuiltins(): object {
  const require = createRequire(import.meta.url);
  const table: unknown = require(
    require.resolve('@open-policy-agent/opa-wasm').replace(/index\.cjs$/, 'builtins/index.js'),
  );
  if (typeof table !== 'object' || table === null)
    throw new Error('The built-ins of @open-policy-agent/opa-wasm were not found.');
  return table;
}

/** The runtime gives a result set, `[{ result }]`, empty where the entrypoint is undefined. */
function readResults(resultSet: unknown): readonly unknown[] {
  if (!Array.isArray(resultSet)) throw new Error('The policy runtime gave no result set.');
  return resultSet.map((element: unknown) =>
    typeof element === 'object' && element !== null && 'result' in element ? element.result : undefined,
  );
}

function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  if (typeof thrown === 'string') return new Error(thrown);
  if (typeof thrown === 'object' && thrown !== null && 'message' in thrown) return new Error(String(thrown.message));
  return new Error('The policy runtime failed without saying why.');
}
