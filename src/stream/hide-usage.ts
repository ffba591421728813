/**
 * Takes the counts out of a stream in which the sidecar asked for them on the caller's behalf: the caller gets the bytes that
 * its own request would have brought. Whole events pass as the buffers they are; an unfinished one waits for its
 * blank line; only events with `"usage"` are parsed.
 */

export interface Filter {
  /** @returns the bytes to deliver now, possibly none */
  push(chunk: Buffer): Buffer;
  /** @returns what was held back, when the stream ends */
  flush(): Buffer;
}

/** WHATWG HTML section 9.2.6 allows both kinds of line ends; Ollama writes the first. */
const blankLines = [Buffer.from('\n\n'), Buffer.from('\r\n\r\n')];
const lineFeed = 0x0a;
const closingBrace = 0x7d;
const marker = Buffer.from('"usage"');
const zeroUsage = Buffer.from(',"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}');
const noChoices = Buffer.from('"choices":[]');
const nothing: Buffer = Buffer.alloc(0);
/** A usage event has some 300 bytes; to hold more than this would only delay what is none. */
const longestHeld = 64 * 1024;

/**
 * @param inEachEvent as on `/v1/completions`: asked for counts, Ollama puts a zero `usage` behind the other members of each
 *   chunk, and none otherwise (0.17.4, `CompleteWriter` in `middleware/openai.go`)
 */
export function createUsageHider({ inEachEvent }: { readonly inEachEvent: boolean }): Filter {
  let held: Buffer = nothing;
  return {
    push(chunk) {
      // Nearly every chunk is whole events without counts: two looks at its end and one for the marker.
      if (held.length === 0 && endsWithBlankLine(chunk)) return hide(chunk);
      const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      const end = endOfLastEvent(bytes);
      const ready = bytes.length - end > longestHeld ? bytes : bytes.subarray(0, end);
      held = bytes.subarray(ready.length);
      return hide(ready);
    },
    flush() {
      const rest = held;
      held = nothing;
      return hide(rest);
    },
  };

  function hide(bytes: Buffer): Buffer {
    return bytes.includes(marker) ? withoutUsage(bytes, inEachEvent) : bytes;
  }
}

function endsWithBlankLine(bytes: Buffer): boolean {
  return bytes[bytes.length - 1] === lineFeed && bytes[bytes.length - 2] === lineFeed;
}

function endOfLastEvent(bytes: Buffer): number {
  let end = 0;
  for (const blank of blankLines) {
    const at = bytes.lastIndexOf(blank);
    if (at !== -1) end = Math.max(end, at + blank.length);
  }
  return end;
}

function withoutUsage(bytes: Buffer, inEachEvent: boolean): Buffer {
  const kept: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = endOfEvent(bytes, start);
    const event = bytes.subarray(start, end);
    const at = inEachEvent ? placeOfZeroUsage(event) : -1;
    if (at !== -1) kept.push(event.subarray(0, at), event.subarray(at + zeroUsage.length));
    else if (!isUsageEvent(event)) kept.push(event);
    start = end;
  }
  return Buffer.concat(kept);
}

/**
 * Only the brace that closes the chunk may follow, so that it can be no member of something inside. Text cannot look like it:
 * its quotes are escaped.
 *
 * @returns -1 where there is none, and for the event without choices that brings the counts, which are all zero at times
 */
function placeOfZeroUsage(event: Buffer): number {
  const brace = event.lastIndexOf(closingBrace);
  const at = brace - zeroUsage.length;
  return at > 0 && event.compare(zeroUsage, 0, zeroUsage.length, at, brace) === 0 && !event.includes(noChoices)
    ? at
    : -1;
}

function endOfEvent(bytes: Buffer, start: number): number {
  let end = bytes.length;
  for (const blank of blankLines) {
    const at = bytes.indexOf(blank, start);
    if (at !== -1) end = Math.min(end, at + blank.length);
  }
  return end;
}

/** The extra event that `include_usage` brings: no choices, a usage. One that carries anything for the client stays. */
function isUsageEvent(event: Buffer): boolean {
  if (!event.includes(marker)) return false;
  const text = event.toString('utf8').trim();
  if (!text.startsWith('data:') || text.includes('\n')) return false;
  let data: unknown;
  try {
    data = JSON.parse(text.slice('data:'.length));
  } catch {
    return false;
  }
  if (typeof data !== 'object' || data === null || !('choices' in data) || !('usage' in data)) return false;
  return (
    Array.isArray(data.choices) && data.choices.length === 0 && typeof data.usage === 'object' && data.usage !== null
  );
}
