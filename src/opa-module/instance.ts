/**
 * An instance of OPA's module in the thread that calls it: synchronous, bytes in and bytes out. The exports and the layout
 * of their buffers stand in `opa/exports_wasip1.go`.
 *
 * The module gets no file, no network, no environment and no argument. After a trap or an exit Go's runtime can't be used
 * again, so the next call gets a new instance (some 40 ms).
 */
import type { WASI as WasiClass } from 'node:wasi';

export interface OpaAnswer {
  readonly json: string;
  /** Comes with the answer to `compile`, else empty. */
  readonly bytes: Uint8Array;
}

/** `value`: text for opa_value_parse. `undefined`: the call has none. `halt`: the evaluation must end; a message. */
export interface BuiltinAnswer {
  readonly outcome: 'value' | 'undefined' | 'halt';
  /** A view that stands until the next call. */
  readonly text: Uint8Array;
}

/** `results`: a list as JSON. The other two: a message. */
export interface EvaluationAnswer {
  readonly outcome: 'results' | 'failed' | 'too_long';
  readonly text: string;
}

export interface OpaInstance {
  /** A command of the tool chain or of the interpreter, as JSON. Throws what ends the instance. */
  serve(request: Uint8Array): OpaAnswer;
  /** What built-ins kept for the last decision is forgotten. @param nowNs its clock reading, Unix time */
  beginDecision(nowNs: bigint): void;
  /** @param parts the name and each argument as opa_value_dump wrote it, every one with its zero byte */
  callBuiltin(parts: readonly Uint8Array[]): BuiltinAnswer;
  /**
   * Interprets the policy that the command `load` has loaded into this very instance.
   *
   * @param request entrypoint, clock reading, limit in ms, each with a zero byte behind it, and the input as JSON
   */
  evaluate(request: Uint8Array): EvaluationAnswer;
}

/** Instantiates at once, so that a module which is not ours shows here. */
export function createOpaInstance(module: WebAssembly.Module): OpaInstance {
  let current: OpaInstance | undefined = instantiate(module);

  function guard<Result>(use: (instance: OpaInstance) => Result): Result {
    current ??= instantiate(module);
    try {
      return use(current);
    } catch (error) {
      current = undefined;
      // An exit is a symbol that node:wasi throws.
      throw error instanceof Error ? error : new Error(`OPA's module ended: ${String(error)}`);
    }
  }

  return {
    serve: (request) => guard((instance) => instance.serve(request)),
    beginDecision: (nowNs) => guard((instance) => instance.beginDecision(nowNs)),
    callBuiltin: (parts) => guard((instance) => instance.callBuiltin(parts)),
    evaluate: (request) => guard((instance) => instance.evaluate(request)),
  };
}

/** Bytes of one call; beyond some gigabytes Go's allocator ends the process. */
const longestCall = 256 * 1024 * 1024;

const outcomes = ['value', 'undefined', 'halt'] as const;
const evaluations = ['results', 'failed', 'too_long'] as const;

function instantiate(module: WebAssembly.Module): OpaInstance {
  const WASI = loadWasi();
  const wasi = new WASI({ version: 'preview1', args: [], env: {}, preopens: {} });
  const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: { ...wasi.wasiImport } });
  wasi.initialize(instance);
  const { memory } = instance.exports;
  if (!(memory instanceof WebAssembly.Memory)) throw new Error('This is not the module that opa/ builds.');
  const allocate = functionOf(instance, 'allocate');
  const serve = functionOf(instance, 'serve');
  const begin = functionOf(instance, 'begin');
  const callBuiltin = functionOf(instance, 'call_builtin');
  const evaluate = functionOf(instance, 'evaluate');

  // The memory may be another buffer after every call, since it grows.
  const answerAt = (at: number): { first: number; second: number } => {
    const view = new DataView(memory.buffer, at, 8);
    return { first: view.getUint32(0, true), second: view.getUint32(4, true) };
  };

  const write = (request: Uint8Array): void => {
    checkLength(request.length);
    const to = allocate(request.length);
    new Uint8Array(memory.buffer, to, request.length).set(request);
  };

  return {
    serve(request) {
      write(request);
      const at = serve();
      const { first: jsonLength, second: bytesLength } = answerAt(at);
      return {
        json: Buffer.from(memory.buffer, at + 8, jsonLength).toString('utf8'),
        bytes: new Uint8Array(memory.buffer, at + 8 + jsonLength, bytesLength).slice(),
      };
    },
    beginDecision(nowNs) {
      begin(nowNs);
    },
    callBuiltin(parts) {
      let length = 0;
      for (const part of parts) length += part.length;
      checkLength(length);
      let to = allocate(length);
      const bytes = new Uint8Array(memory.buffer);
      for (const part of parts) {
        bytes.set(part, to);
        to += part.length;
      }
      const at = callBuiltin();
      const { first, second } = answerAt(at);
      const outcome = outcomes[first];
      if (outcome === undefined) throw new Error('This is not the module that opa/ builds.');
      return { outcome, text: new Uint8Array(memory.buffer, at + 8, second) };
    },
    evaluate(request) {
      write(request);
      const at = evaluate();
      const { first, second } = answerAt(at);
      const outcome = evaluations[first];
      if (outcome === undefined) throw new Error('This is not the module that opa/ builds.');
      return { outcome, text: Buffer.from(memory.buffer, at + 8, second).toString('utf8') };
    },
  };
}

function checkLength(length: number): void {
  if (length > longestCall) throw new Error(`OPA's module takes at most ${longestCall} bytes in one call.`);
}

/** @returns a function whose result is an address: unsigned, where JavaScript gets an i32 */
function functionOf(instance: WebAssembly.Instance, name: string): (...args: readonly (number | bigint)[]) => number {
  const exported = instance.exports[name];
  if (typeof exported !== 'function')
    throw new Error(`OPA's module has no ${name}: "npm run build:opa" makes it anew.`);
  return (...args) => Number(exported(...args) ?? 0) >>> 0;
}

let loaded: typeof WasiClass | undefined;

/** Node warns on standard error that its WASI is experimental, which nobody who reads it can do anything about. */
function loadWasi(): typeof WasiClass {
  if (loaded !== undefined) return loaded;
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    loaded = process.getBuiltinModule('node:wasi').WASI;
    return loaded;
  } finally {
    process.emitWarning = emitWarning;
  }
}
