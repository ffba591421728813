/**
 * Lines of the audit file as links of a chain: each holds its number, the hash of the line before it, and its own.
 *
 *     {"seq":7,"prev":"<hash of line 6>","event":"decision",...,"hash":"<SHA-256 of all bytes before ,\"hash\">"}
 *
 * What is hashed is bytes as they stand in the file, so that no reader has to write JSON as another one does.
 */
import { hash as digest } from 'node:crypto';

/** The end of a chain: what the next line follows. */
export interface Link {
  readonly seq: number;
  /** 64 hexadecimal digits. */
  readonly hash: string;
}

/** What the first line of a chain follows. */
export const origin: Link = { seq: -1, hash: '0'.repeat(64) };

export interface Sealable {
  readonly event: string;
  /** An object with at least one member, on one line. */
  readonly json: string;
}

/** The longest of what a line has beside its JSON. */
const frame = '{"seq":,"prev":"","event":"",'.length + ',"hash":""}\n'.length + 2 * 64 + 16 + 32;
const comma = 0x2c;

/**
 * The lines in one buffer: each is put together where it is hashed and written from, because every copy of it would cost
 * as much as its hash.
 *
 * @param room to put them where they fit
 * @returns the lines with their ends, and what comes to follow
 */
export function sealAll(
  after: Link,
  lines: readonly Sealable[],
  room?: Buffer,
): { readonly bytes: Buffer; readonly link: Link } {
  const bytes = makeRoom(lines, room);
  const { buffer: memory, byteOffset } = bytes;
  let { seq, hash } = after;
  let at = 0;
  /** Of the line before: written with the head of the next one, because to make bytes of text costs as much for two. */
  let tail = '';
  for (const { event, json } of lines) {
    seq += 1;
    const start = at + tail.length;
    at += bytes.write(`${tail}{"seq":${seq},"prev":"${hash}","event":"${event}"`, at, 'latin1');
    // The brace that opens the JSON gives way to a comma, the one that closes it to the tail.
    const end = at + bytes.write(json, at) - 1;
    bytes[at] = comma;
    // `subarray` takes longer to make a view.
    hash = digest('sha256', new Uint8Array(memory, byteOffset + start, end - start));
    tail = `,"hash":"${hash}"}\n`;
    at = end;
  }
  at += bytes.write(tail, at, 'latin1');
  return { bytes: bytes.subarray(0, at), link: { seq, hash } };
}

function makeRoom(lines: readonly Sealable[], room: Buffer | undefined): Buffer {
  const frames = lines.length * frame;
  // To count bytes takes a look at each of them; no unit of a string has more than three.
  const most = lines.reduce((sum, { json }) => sum + json.length, 0) * 3 + frames;
  if (room !== undefined && most <= room.length) return room;
  const exact = lines.reduce((sum, { json }) => sum + Buffer.byteLength(json), 0) + frames;
  return room !== undefined && exact <= room.length ? room : Buffer.allocUnsafe(exact);
}

/** @returns the line with its end, and what comes to follow */
export function seal(after: Link, event: string, json: string): { readonly line: string; readonly link: Link } {
  const { bytes, link } = sealAll(after, [{ event, json }]);
  return { line: bytes.toString('utf8'), link };
}

export interface Sealed extends Link {
  readonly prev: string;
  readonly event: string;
  /** The hash is that of the line's bytes. */
  readonly intact: boolean;
}

const head = /^\{"seq":(\d{1,15}),"prev":"([0-9a-f]{64})","event":"([a-z_]{1,32})",/;
const tail = /^,"hash":"([0-9a-f]{64})"\}$/;
const tailLength = ',"hash":""}'.length + 64;
/** Longer than any head is. */
const headLength = 160;

/** @param line without its end @returns undefined where this is no line of an audit file */
export function readSeal(line: Buffer): Sealed | undefined {
  const cut = line.length - tailLength;
  if (cut < 0) return undefined;
  const [, hash] = tail.exec(line.toString('latin1', cut)) ?? [];
  const [, seq, prev, event] = head.exec(line.toString('latin1', 0, Math.min(headLength, cut + 1))) ?? [];
  if (hash === undefined || seq === undefined || prev === undefined || event === undefined) return undefined;
  return { seq: Number(seq), prev, event, hash, intact: digest('sha256', line.subarray(0, cut), 'hex') === hash };
}
