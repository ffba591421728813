/** Events as OPA's decision log service takes them: JSON lists, compressed, each at most as large as an upload may be. */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

const compress = promisify(gzip);

export interface Batch {
  readonly events: number;
  /** Gzipped JSON. */
  readonly bytes: Uint8Array;
}

export interface Batches {
  /** @param text one event as JSON */
  add(text: string): void;
  /** Whether so much waits that an upload would be full. */
  isFull(): boolean;
  /** Events that were added and not taken. */
  waiting(): number;
  /** Forgets the oldest of them. */
  dropOldest(): void;
  /**
   * Compresses what waits, off this thread.
   *
   * @returns how it is to be uploaded, in order; and how many events are too large by themselves
   */
  take(): Promise<{ readonly batches: readonly Batch[]; readonly tooLarge: number }>;
}

/** More text than this is not compressed at once, whatever it may shrink to: one piece of memory, one turn of a thread. */
const mostText = 4 * 1024 * 1024;

/** @param uploadSize of one batch, compressed, bytes */
export function createBatches(uploadSize: () => number): Batches {
  let texts: string[] = [];
  let characters = 0;
  /** How much smaller texts become, as the last batch showed; at first nothing is expected. */
  let ratio = 1;

  return {
    add(text) {
      texts.push(text);
      characters += text.length + 1;
    },
    isFull: () => characters >= fullAt(),
    waiting: () => texts.length,
    dropOldest() {
      const dropped = texts.shift();
      if (dropped !== undefined) characters -= dropped.length + 1;
    },
    async take() {
      const taken = texts;
      texts = [];
      characters = 0;
      const batches: Batch[] = [];
      let tooLarge = 0;
      for (const part of cut(taken, fullAt())) tooLarge += await pack(part, batches);
      return { batches, tooLarge };
    },
  };

  function fullAt(): number {
    // A little less than it shows, so that few are packed twice.
    return Math.min(uploadSize() * Math.max(1, ratio * 0.9), mostText);
  }

  /** Halves what does not fit until it does. @returns how many events can't be made to fit */
  async function pack(part: readonly string[], into: Batch[]): Promise<number> {
    const text = `[${part.join(',')}]`;
    const bytes = await compress(text);
    ratio = text.length / bytes.length;
    if (bytes.length <= uploadSize()) {
      into.push({ events: part.length, bytes });
      return 0;
    }
    if (part.length === 1) return 1;
    const middle = part.length >> 1;
    return (await pack(part.slice(0, middle), into)) + (await pack(part.slice(middle), into));
  }
}

function cut(texts: readonly string[], mostCharacters: number): readonly string[][] {
  const parts: string[][] = [];
  let part: string[] = [];
  let characters = 0;
  for (const text of texts) {
    if (part.length > 0 && characters + text.length > mostCharacters) {
      parts.push(part);
      part = [];
      characters = 0;
    }
    part.push(text);
    characters += text.length + 1;
  }
  if (part.length > 0) parts.push(part);
  return parts;
}
