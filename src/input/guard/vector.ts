import { byte } from './bytes.ts';
import { assembleVectorModule, layout } from './vector-module.ts';

/** One window of bytes at a time lies in the module's memory. Shared by all calls: none of them waits for anything. */
export interface Vector {
  readonly memory: Buffer;
  /** @returns where in memory the first quote, backslash, control character or byte over 0x7f stands, from `at` on */
  find(at: number): number;
  /** Copies up to a quote, control character or longer escape. @returns where in memory that stands */
  resolve(at: number, out: number): number;
  /** Where in memory the output of the last `resolve` ended. */
  outEnd(): number;
}

/** The escapes of one letter: RFC 8259, section 7. */
const letters: ReadonlyArray<readonly [letter: string, meant: number]> = [
  ['"', byte.quote],
  ['\\', byte.backslash],
  ['/', 0x2f],
  ['b', 0x08],
  ['f', 0x0c],
  ['n', 0x0a],
  ['r', 0x0d],
  ['t', 0x09],
];

function createVector(): Vector {
  const { memory, find, resolve } = new WebAssembly.Instance(new WebAssembly.Module(assembleVectorModule())).exports;
  if (!(memory instanceof WebAssembly.Memory) || typeof find !== 'function' || typeof resolve !== 'function') {
    throw new TypeError('The module of the guard lacks an export.');
  }
  const bytes = Buffer.from(memory.buffer);
  const ends = new Int32Array(memory.buffer, layout.outEnd, 1);
  for (const [letter, meant] of letters) bytes[layout.letters + letter.charCodeAt(0)] = meant;
  return {
    memory: bytes,
    find: (at) => find(at),
    resolve: (at, out) => resolve(at, out),
    outEnd: () => ends[0] ?? 0,
  };
}

export const vector: Vector = createVector();
