/**
 * Asks for the token counts of a streamed `/v1` answer where the caller did not: the only change that the sidecar makes to
 * judged bytes on its own account. `hide-usage.ts` takes the extra event out of the answer again.
 */
import type { Splice } from '../types.ts';

/** Where the members stand in the judged bytes; offsets in bytes, `end` behind the last one. */
export interface StreamOptionsPlace {
  /** Behind the last byte of the document's own object, that is behind its `}`. */
  readonly documentEnd: number;
  readonly streamOptions: { readonly start: number; readonly end: number } | undefined;
  readonly includeUsage: { readonly start: number; readonly end: number } | undefined;
}

const name = 'include_usage';

/**
 * @param bytes the judged document: an object with at least one member (`model` is required)
 * @returns undefined where the caller asked itself, and where `stream_options` is something that Ollama will refuse
 */
export function spliceIncludeUsage(bytes: Buffer, place: StreamOptionsPlace): Splice | undefined {
  const { streamOptions, includeUsage, documentEnd } = place;
  if (streamOptions === undefined) return insert(documentEnd - 1, ',"stream_options":{"include_usage":true}');
  if (includeUsage !== undefined) {
    const value = bytes.toString('latin1', includeUsage.start, includeUsage.end);
    return value === 'false' || value === 'null' ? replace(includeUsage, 'true') : undefined;
  }
  const value = bytes.toString('latin1', streamOptions.start, streamOptions.end);
  if (value === 'null') return replace(streamOptions, '{"include_usage":true}');
  if (!value.startsWith('{')) return undefined;
  const separator = /^\{\s*\}$/.test(value) ? '' : ',';
  return insert(streamOptions.start + 1, `"include_usage":true${separator}`);
}

function insert(at: number, text: string): Splice {
  return replace({ start: at, end: at }, text);
}

function replace(range: { readonly start: number; readonly end: number }, text: string): Splice {
  return { name, start: range.start, end: range.end, bytes: Buffer.from(text) };
}
