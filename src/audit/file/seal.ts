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

/** The longest of what a line has beside its JSON, bytes. */
export const longestFrame = '{"seq":,"prev":"","event":"",'.length + ',"hash":""}\n'.length + 2 * 64 + 16 + 32;

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

/** @param line that is sealed, without its end @returns what was sealed @throws where it is no line of an audit file */
export function unseal(line: Buffer): Sealable {
  const text = line.toString();
  const [start, , , event] = head.exec(text) ?? [];
  if (start === undefined || event === undefined) throw new Error('this is no line of an audit file');
  return { event, json: `{${text.slice(start.length, -tailLength)}}` };
}
