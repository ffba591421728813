/**
 * Two loops over the bytes of strings, sixteen bytes at a time, as a WebAssembly module that is assembled here: neither
 * Node nor JavaScript has a search for "any of these bytes" over a buffer. Opcodes: WebAssembly Core 2.0, section 5.4.
 * `docs/decisions/014-long-strings.md` says what it is for.
 */

/** Where what lies in the module's memory. */
export const layout = {
  /** 256 bytes: what a byte behind a backslash stands for, 0 where it is no escape of one letter. */
  letters: 0,
  /** `resolve` leaves here, as an i32, where its output ended. */
  outEnd: 256,
  input: 1024,
  /** Bytes of input at once; behind them the caller puts `guardBytes` zeros, at which both loops stop. */
  window: 128 * 1024,
  guardBytes: 80,
  output: 1024 + 128 * 1024 + 1024,
} as const;

const pages = 5;

const type = { i32: 0x7f, v128: 0x7b, none: 0x40, func: 0x60 } as const;

const op = {
  unreachable: [0x00],
  block: [0x02, type.none],
  loop: [0x03, type.none],
  if: [0x04, type.none],
  end: [0x0b],
  return: [0x0f],
  load8: [0x2d, 0, 0],
  store: [0x36, 2, 0],
  store8: [0x3a, 0, 0],
  eqz: [0x45],
  eq: [0x46],
  ctz: [0x68],
  add: [0x6a],
  vectorStore: [0xfd, 0x0b, 0, 0],
  splat: [0xfd, 0x0f],
  equal: [0xfd, 0x23],
  lessSigned: [0xfd, 0x25],
  lessUnsigned: [0xfd, 0x26],
  or: [0xfd, 0x50],
  anyTrue: [0xfd, 0x53],
  bitmask: [0xfd, 0x64],
} as const;

type Code = readonly number[];

const get = (local: number): Code => [0x20, local];
const set = (local: number): Code => [0x21, local];
const tee = (local: number): Code => [0x22, local];
const constant = (value: number): Code => [0x41, ...signed(value)];
const vectorLoad = (offset: number): Code => [0xfd, 0x00, 0, offset];
const branch = (depth: number): Code => [0x0c, depth];
const branchIf = (depth: number): Code => [0x0d, depth];
const advance = (local: number, by: Code): Code => [...get(local), ...by, ...op.add, ...set(local)];

/** LEB128, as section 5.2.2 has it. */
function signed(value: number): Code {
  const low = value & 0x7f;
  const rest = value >> 7;
  return (rest === 0 && low < 0x40) || (rest === -1 && low >= 0x40) ? [low] : [low | 0x80, ...signed(rest)];
}

function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** The vector in `local`, compared: quote, backslash, and what `less` takes as below the space. */
function special(local: number, less: Code): Code {
  const isByte = (value: number): Code => [...get(local), ...constant(value), ...op.splat, ...op.equal];
  return [
    ...[...get(local), ...constant(0x20), ...op.splat, ...less],
    ...[...isByte(0x22), ...op.or],
    ...[...isByte(0x5c), ...op.or],
  ];
}

/** find(at): where the first quote, backslash, control character or byte over 0x7f stands: as signed those are below zero. */
function assembleFind(): Code {
  const [at, vector, mask] = [0, 1, 2];
  const compare = (offset: number): Code => [
    ...[...get(at), ...vectorLoad(offset), ...set(vector)],
    ...special(vector, op.lessSigned),
  ];
  return [
    ...[2, 1, type.v128, 1, type.i32],
    ...op.block,
    ...op.loop,
    ...[...compare(0), ...compare(16), ...op.or, ...compare(32), ...op.or, ...compare(48), ...op.or],
    ...[...op.anyTrue, ...branchIf(1)],
    ...[...advance(at, constant(64)), ...branch(0)],
    ...op.end,
    ...op.end,
    ...op.loop,
    ...[...compare(0), ...op.bitmask, ...tee(mask)],
    ...[...op.if, ...get(at), ...get(mask), ...op.ctz, ...op.add, ...op.return, ...op.end],
    ...[...advance(at, constant(16)), ...branch(0)],
    ...op.end,
    ...op.unreachable,
    ...op.end,
  ];
}

/**
 * resolve(at, out): copies to `out`, resolving escapes of one letter, up to a quote, a control character or another
 * backslash; returns where that stands. Output is never longer than input.
 */
function assembleResolve(): Code {
  const [at, out, vector, mask] = [0, 1, 2, 3];
  return [
    ...[2, 1, type.v128, 1, type.i32],
    ...op.loop,
    ...[...get(out), ...get(at), ...vectorLoad(0), ...tee(vector), ...op.vectorStore],
    ...[...special(vector, op.lessUnsigned), ...op.bitmask, ...tee(mask), ...op.eqz],
    ...[...op.if, ...advance(at, constant(16)), ...advance(out, constant(16)), ...branch(1), ...op.end],
    ...[...get(mask), ...op.ctz, ...set(mask)],
    ...[...advance(at, get(mask)), ...advance(out, get(mask))],
    ...[...get(at), ...op.load8, ...constant(0x5c), ...op.eq, ...op.if],
    ...[...get(at), ...constant(1), ...op.add, ...op.load8, ...op.load8, ...tee(mask), ...op.if],
    ...[...get(out), ...get(mask), ...op.store8],
    ...[...advance(at, constant(2)), ...advance(out, constant(1)), ...branch(2)],
    ...[...op.end, ...op.end],
    ...[...constant(layout.outEnd), ...get(out), ...op.store, ...get(at), ...op.return],
    ...op.end,
    ...op.unreachable,
    ...op.end,
  ];
}

function section(id: number, content: Code): Code {
  return [id, ...unsigned(content.length), ...content];
}

function sized(code: Code): Code {
  return [...unsigned(code.length), ...code];
}

const nameOf = (text: string): Code => sized([...Buffer.from(text)]);

/** A module with `memory`, `find` (i32 to i32) and `resolve` (two i32 to i32). */
export function assembleVectorModule(): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [2, type.func, 1, type.i32, 1, type.i32, type.func, 2, type.i32, type.i32, 1, type.i32]),
    ...section(3, [2, 0, 1]),
    ...section(5, [1, 0, pages]),
    ...section(7, [3, ...nameOf('memory'), 2, 0, ...nameOf('find'), 0, 0, ...nameOf('resolve'), 0, 1]),
    ...section(10, [2, ...sized(assembleFind()), ...sized(assembleResolve())]),
  ]);
}
