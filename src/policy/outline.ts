/**
 * Data as far as OPA's compiler looks at it: whether anything stands where a rule does. Tens of megabytes take the compiler
 * many seconds to read, and all but a few names of them for nothing.
 */
import type { PolicySource } from './source.ts';

/** Less is handed over as it is, bytes. */
const largeBytes = 1_000_000;

type Data = PolicySource['data'];

/** @returns the data, or what of it lies on the path of a name that the modules write */
export function outlineData({ data, modules, files }: Pick<PolicySource, 'data' | 'modules' | 'files'>): Data {
  let bytes = 0;
  for (const [file, content] of files) if (!file.endsWith('.rego')) bytes += content.byteLength;
  const texts = Object.values(modules);
  // A name that is written with escapes would not be found.
  if (bytes < largeBytes || texts.some((text) => text.includes('\\u'))) return data;
  return outline(data, new Set(texts.flatMap(namesIn)));
}

/** Every word, and every text in quotes. */
function namesIn(text: string): readonly string[] {
  return [
    ...(text.match(/[\p{L}\p{N}_]+/gu) ?? []),
    ...[...text.matchAll(/"([^"\n]*)"|`([^`]*)`/g)].map(([, quoted, raw]) => quoted ?? raw ?? ''),
  ];
}

function outline(data: Data, names: ReadonlySet<string>): Data {
  const kept: Record<string, unknown> = {};
  let isEmpty = true;
  for (const [name, value] of Object.entries(data)) {
    isEmpty = false;
    if (!names.has(name)) continue;
    const outlined = isObject(value) ? outline(value, names) : true;
    Object.defineProperty(kept, name, { value: outlined, enumerable: true, writable: true, configurable: true });
  }
  // What is there and what is empty differ, whatever is in it.
  return isEmpty || Object.keys(kept).length > 0 ? kept : { '': true };
}

function isObject(value: unknown): value is Data {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
