/**
 * Lines that are written at once, each sealed in the memory that the group is written from: as text they would be in the way
 * of the garbage collector for as long as they wait.
 */
import { hash as digest } from 'node:crypto';

import { type Link, longestFrame, origin, type Sealable, unseal } from './seal.ts';

/** Who waits for a line to be on disk. */
export interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

export interface Line extends Sealable {
  readonly waiter?: Waiter | undefined;
}

export interface Group {
  /** Empties it. */
  begin(after: Link): void;
  /** @returns whether there was room for it */
  add(event: string, json: string, waiter?: Waiter): boolean;
  /** Lines that it holds. */
  count(): number;
  /** Characters of their JSON. */
  size(): number;
  /** What comes to follow. */
  end(): Link;
  /** The lines with their ends, until more is added. */
  bytes(): Buffer;
  /** As they were added, to be sealed anew behind another line. */
  lines(): readonly Line[];
  waiters(): readonly Waiter[];
}

const comma = 0x2c;

/** @param memory to put the lines in; each is put together where it is hashed and written from: a copy costs as much as a hash */
export function createGroup(memory: Buffer): Group {
  const { buffer, byteOffset } = memory;
  let { seq, hash } = origin;
  let count = 0;
  let size = 0;
  let at = 0;
  /** Of the line before: written with the head of the next one, because to make bytes of text costs as much for two. */
  let tail = '';
  let waiting: { readonly waiter: Waiter; readonly line: number }[] = [];

  function fits(json: string): boolean {
    const left = memory.length - at - tail.length - longestFrame;
    // To count bytes takes a look at each of them; no unit of a string has more than three.
    return json.length * 3 <= left || Buffer.byteLength(json) <= left;
  }

  function bytes(): Buffer {
    at += memory.write(tail, at, 'latin1');
    tail = '';
    return memory.subarray(0, at);
  }

  return {
    begin(after) {
      ({ seq, hash } = after);
      [count, size, at, tail, waiting] = [0, 0, 0, '', []];
    },
    add(event, json, waiter) {
      if (!fits(json)) return false;
      seq += 1;
      const start = at + tail.length;
      at += memory.write(`${tail}{"seq":${seq},"prev":"${hash}","event":"${event}"`, at, 'latin1');
      // The brace that opens the JSON gives way to a comma, the one that closes it to the tail.
      const end = at + memory.write(json, at) - 1;
      memory[at] = comma;
      // `subarray` takes longer to make a view.
      hash = digest('sha256', new Uint8Array(buffer, byteOffset + start, end - start));
      tail = `,"hash":"${hash}"}\n`;
      at = end;
      if (waiter !== undefined) waiting.push({ waiter, line: count });
      count += 1;
      size += json.length;
      return true;
    },
    count: () => count,
    size: () => size,
    end: () => ({ seq, hash }),
    bytes,
    lines() {
      const whole = bytes();
      const waiters = new Map(waiting.map(({ waiter, line }) => [line, waiter]));
      const lines: Line[] = [];
      for (let from = 0; from < whole.length; ) {
        const to = whole.indexOf('\n', from);
        lines.push({ ...unseal(whole.subarray(from, to)), waiter: waiters.get(lines.length) });
        from = to + 1;
      }
      return lines;
    },
    waiters: () => waiting.map(({ waiter }) => waiter),
  };
}

/** @returns the lines with their ends, and what comes to follow */
export function sealAll(after: Link, lines: readonly Sealable[]): { readonly bytes: Buffer; readonly link: Link } {
  const group = createGroup(Buffer.allocUnsafe(lines.reduce((sum, { json }) => sum + roomFor(json), 0)));
  group.begin(after);
  for (const { event, json } of lines) group.add(event, json);
  return { bytes: group.bytes(), link: group.end() };
}

/** Bytes that a line with this JSON takes at most. */
export function roomFor(json: string): number {
  return Buffer.byteLength(json) + longestFrame;
}
