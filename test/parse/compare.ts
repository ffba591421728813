/** What the two sides say of one document, held against each other. */
import type { Document } from './judge.ts';
import { type Json, object } from './messages.ts';
import { type Ours, readOurs } from './ours.ts';
import { arrangeTheirs, project } from './project.ts';

export interface Verdict {
  /** Where the two sides differ, undefined where they don't. */
  readonly difference: string | undefined;
  /** For the statistics: who took it, and the code or the reason of who did not. */
  readonly side: 'both' | 'neither' | 'only Ollama' | 'only the sidecar';
  readonly reason: string;
}

/** @param said the judge's answer */
export function compare(document: Document, said: string, read: (document: Document) => Ours = readOurs): Verdict {
  const theirs = object(JSON.parse(said));
  const refused = theirs['refused'];
  let ours: Ours;
  try {
    ours = read(document);
  } catch (error) {
    return { difference: `the sidecar fails: ${String(error)}`, side: 'neither', reason: 'failure' };
  }
  if (ours.refused !== undefined) {
    const side = refused === undefined ? 'only Ollama' : 'neither';
    return { difference: undefined, side, reason: ours.refused };
  }
  if (refused !== undefined) {
    return { difference: undefined, side: 'only the sidecar', reason: generalise(String(refused)) };
  }
  const projected = project(document.type, ours.input, ours.includeUsage);
  const text = Number(theirs['text_bytes']);
  const difference =
    differ(arrangeTheirs(document.type, theirs), projected) ??
    (text > (ours.input.prompt_bytes ?? 0) ? `prompt_bytes: ${text} and ${ours.input.prompt_bytes}` : undefined);
  return { difference, side: 'both', reason: '' };
}

/** Messages name what the caller wrote; a class must not. */
function generalise(message: string): string {
  const said = /"message":"((?:[^"\\]|\\.)*)"/.exec(message)?.[1] ?? message;
  return said
    .replace(/\\?"(?:[^"\\]|\\[^"])*\\?"/g, '"…"')
    .replace(/'[^']*'/g, "'…'")
    .replace(/\d+/g, '0')
    .replace(/[^ -~…]+/g, '?')
    .slice(0, 120);
}

function differ(theirs: Json, ours: Json): string | undefined {
  for (const [name, value] of Object.entries(ours)) {
    const difference = differIn(name, theirs[name] ?? null, value);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

/** The projection's own structs: their names are ours and plain, so they may be looked up. */
const structs = new Set(['models', 'messages', 'tool_calls']);

function differIn(name: string, theirs: unknown, ours: unknown): string | undefined {
  if (name === 'keep_alive' && typeof ours === 'number' && typeof theirs === 'number') {
    // Go's integer arithmetic and ours, which is in floating point: beyond its range a conversion means nothing.
    return ours > 2 ** 62 || Math.abs(theirs - ours) <= Math.abs(ours) * 1e-9
      ? undefined
      : describe(name, theirs, ours);
  }
  if (Array.isArray(ours)) {
    const list = theirs ?? [];
    if (!Array.isArray(list) || list.length !== ours.length) return describe(name, theirs, ours);
    for (const [at, element] of ours.entries()) {
      const difference = structs.has(name)
        ? differ(object(list[at]), object(element))
        : differIn(name, list[at] ?? null, element);
      if (difference !== undefined) return `${name}[${at}].${difference}`;
    }
    return undefined;
  }
  if (typeof ours !== 'object' || ours === null) return theirs === ours ? undefined : describe(name, theirs, ours);
  const pairs = object(theirs)['object'];
  const members = new Map(Object.entries(ours));
  if (!Array.isArray(pairs) || pairs.length !== members.size) return describe(name, theirs, ours);
  for (const pair of pairs) {
    const [key, value] = Array.isArray(pair) ? pair : [];
    if (!members.has(key)) return describe(name, theirs, ours);
    const difference = differIn(`${name} ${JSON.stringify(key)}`, value, members.get(key));
    if (difference !== undefined) return difference;
  }
  return undefined;
}

function describe(name: string, theirs: unknown, ours: unknown): string {
  return `${name}: Ollama has ${JSON.stringify(theirs)?.slice(0, 200)}, the policy ${JSON.stringify(ours)?.slice(0, 200)}`;
}
