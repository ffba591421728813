/**
 * One instance of a compiled policy. The runtime of @open-policy-agent/opa-wasm holds its data and its memory; what the
 * module imports is answered here, and results are read as values and not as JSON, because that loses the order of sets
 * and every digit beyond 2^53.
 */
import { createRequire } from 'node:module';

import type { LoadedPolicy as WasmPolicy } from '@open-policy-agent/opa-wasm';

import { readValue } from './read-value.ts';

/** Answers a built-in by its number. @param args addresses of values @returns the address of a value, 0 for undefined */
export type CallBuiltin = (memory: PolicyMemory, id: number, args: readonly number[]) => number;

/** Values in and out of the module's memory, as text (`read-value.ts`). */
export interface PolicyMemory {
  /** @returns views that stand until the next call, each with its zero byte at the end */
  dump(addresses: readonly number[]): readonly Uint8Array[];
  /** @returns the address of the value */
  write(text: Uint8Array): number;
}

export interface PolicyModule {
  /** Name to number. */
  readonly entrypoints: Readonly<Record<string, number>>;
  /** Number to name of each built-in that rules call and the module does not have itself. */
  readonly imports: ReadonlyMap<number, string>;
  /** @param input any JSON value; undefined: none @returns the result set */
  evaluate(entrypoint: number, input: unknown): unknown;
}

/** The policy gave up in an orderly way, and the instance is as good as before but for some of its stack. */
export class PolicyAbort extends Error {}

export interface PolicyModuleOptions {
  /** JSON in UTF-8. */
  readonly data: Uint8Array;
  /** 64 KiB each. */
  readonly initialPages: number;
  readonly maximumPages: number;
  readonly callBuiltin: CallBuiltin;
}

/** The package has the class, but not in what it exports to ES modules. */
const runtime: { readonly LoadedPolicy: typeof WasmPolicy } = createRequire(import.meta.url)(
  '@open-policy-agent/opa-wasm',
);

/** Since OPA 0.31 (2021): evaluation in one call. */
const oldestMinorAbi = 2;
const pageBytes = 64 * 1024;
/** Bytes of UTF-8 that one UTF-16 unit can take. */
const mostBytesPerUnit = 3;
/** UTF-16 units from which on bytes are counted before memory is made for them: it is never given back. */
const largeInput = 64 * 1024;

/** @throws Error where this is no policy that OPA compiled */
export function instantiatePolicy(module: WebAssembly.Module, options: PolicyModuleOptions): PolicyModule {
  const memory = new WebAssembly.Memory({ initial: options.initialPages, maximum: options.maximumPages });
  const encoder = new TextEncoder();
  const callBuiltin = (id: number, _context: number, ...args: readonly number[]): number =>
    options.callBuiltin(values, id, args);
  const instance = new WebAssembly.Instance(module, {
    env: {
      memory,
      opa_abort(address: number) {
        throw new PolicyAbort(readText(address));
      },
      // For people at a terminal; standard output here carries audit events.
      opa_println() {},
      opa_builtin0: callBuiltin,
      opa_builtin1: callBuiltin,
      opa_builtin2: callBuiltin,
      opa_builtin3: callBuiltin,
      opa_builtin4: callBuiltin,
    },
  });
  checkAbi(instance);
  const call = {
    builtins: functionOf(instance, 'builtins'),
    evaluate: functionOf(instance, 'opa_eval'),
    allocate: functionOf(instance, 'opa_malloc'),
    dump: functionOf(instance, 'opa_value_dump'),
    parse: functionOf(instance, 'opa_value_parse'),
  };

  const endOf = (bytes: Uint8Array, address: number): number => {
    const end = bytes.indexOf(0, address);
    if (end === -1) throw new Error('The policy runtime gave a text without an end.');
    return end;
  };
  function readText(address: number): string {
    const end = endOf(new Uint8Array(memory.buffer), address);
    return Buffer.from(memory.buffer, address, end - address).toString('utf8');
  }
  const values: PolicyMemory = {
    dump(addresses) {
      // A dump may make the memory grow, which puts a new buffer in its place: all of them come first.
      const dumped = addresses.map((address) => call.dump(address));
      const bytes = new Uint8Array(memory.buffer);
      return dumped.map((address) => bytes.subarray(address, endOf(bytes, address) + 1));
    },
    write(text) {
      const address = call.allocate(text.length);
      new Uint8Array(memory.buffer).set(text, address);
      const value = call.parse(address, text.length);
      if (value === 0) throw new Error('The policy runtime did not take the value of a built-in.');
      return value;
    },
  };

  const imports = readImports(readValue(readText(call.dump(call.builtins()))));
  const policy = new runtime.LoadedPolicy({ module, instance }, memory, oldestMinorAbi);
  // A buffer of its own: the runtime takes no view, and no shared memory.
  policy.setData(new Uint8Array(options.data).buffer);

  /** Below the result, and gone with the next evaluation. @returns bytes written */
  function writeInput(text: string): number {
    const at: number = policy.dataHeapPtr;
    const most = text.length < largeInput ? text.length * mostBytesPerUnit : Buffer.byteLength(text);
    const missing = at + most - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / pageBytes));
    return encoder.encodeInto(text, new Uint8Array(memory.buffer, at)).written;
  }

  return {
    entrypoints: policy.entrypoints,
    imports,
    evaluate(entrypoint, input) {
      // Undefined where there is no input at all.
      const text: string | undefined = JSON.stringify(input);
      const length = text === undefined ? 0 : writeInput(text);
      const at: number = policy.dataHeapPtr;
      const asValue = 1;
      return readValue(
        readText(call.evaluate(0, entrypoint, policy.dataAddr, length === 0 ? 0 : at, length, at + length, asValue)),
      );
    },
  };
}

function checkAbi(instance: WebAssembly.Instance): void {
  const major = globalOf(instance, 'opa_wasm_abi_version');
  const minor = globalOf(instance, 'opa_wasm_abi_minor_version');
  if (major !== 1 || minor === undefined || minor < oldestMinorAbi) {
    throw new Error(`its binary interface is ${major}.${minor}, and 1.${oldestMinorAbi} or a later 1.x is needed`);
  }
}

function globalOf(instance: WebAssembly.Instance, name: string): number | undefined {
  const exported = instance.exports[name];
  return exported instanceof WebAssembly.Global ? Number(exported.value) : undefined;
}

/** @returns a function whose result is an address: unsigned, where JavaScript gets an i32 */
function functionOf(instance: WebAssembly.Instance, name: string): (...args: readonly number[]) => number {
  const exported = instance.exports[name];
  if (typeof exported !== 'function') throw new Error(`it does not export ${name}`);
  return (...args) => Number(exported(...args) ?? 0) >>> 0;
}

function readImports(listed: unknown): ReadonlyMap<number, string> {
  if (typeof listed !== 'object' || listed === null) throw new Error('it does not list its built-ins');
  return new Map(Object.entries(listed).map(([name, id]) => [Number(id), name]));
}
