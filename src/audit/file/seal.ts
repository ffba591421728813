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
  let most = 0;
  for (const { json } of lines) most += Buffer.byteLength(json) + frame;
  const bytes = room !== undefined && most <= room.length ? room : Buffer.allocUnsafe(most);
  let { seq, hash } = after;
  let at = 0;
  for (const { event, json } of lines) {
    seq += 1;
    const head = `{"seq":${seq},"prev":"${hash}","event":"${event}",`;
    // The brace that opens the JSON gives way to the comma of the head, the one that closes it to that of the hash.
    const end = at + head.length - 2 + bytes.write(json, at + head.length - 1, 'utf8');
    bytes.write(head, at, 'latin1');
    hash = digest('sha256', bytes.subarray(at, end), 'hex');
    at = end + bytes.write(`,"hash":"${hash}"}\n`, end, 'latin1');
  }
  return { bytes: bytes.subarray(0, at), link: { seq, hash } };
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
