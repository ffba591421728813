/**
 * Delta bundles (OPA's docs: bundles, delta bundles): changes of a bundle's data in the place of all of it. They are kept
 * beside the snapshot that they change, in one file with it, and are applied where that is read: so that a signature goes on
 * vouching for the snapshot, and no state exists in which half of one counts.
 */
import { z } from 'zod';

import { PolicyError, type PolicyFault } from '../errors.ts';
import { readBaseDocument } from './base-document.ts';
import { isInRoots } from './roots.ts';

/** In a delta as it is sent. */
export const patchFile = 'patch.json';
/** Of a snapshot, what changed since. No other tool writes a file of this name. */
export const deltasFile = '.opallama-deltas.json';

/** More, and a snapshot is due. */
export const mostDeltas = 200;

export interface Delta {
  readonly revision: string | undefined;
  /** The text of its `patch.json`, in which no number has lost a digit. */
  readonly patch: string;
}

const kept = z.strictObject({
  version: z.literal(1),
  deltas: z.array(z.strictObject({ revision: z.string().optional(), patch: z.string() })),
});

const operation = z.strictObject({
  op: z.enum(['upsert', 'replace', 'remove']),
  path: z.string(),
  value: z.unknown().optional(),
});
const patch = z.strictObject({ data: z.array(operation).min(1) });

type Operation = z.infer<typeof operation>;

/** @throws PolicyError for anything that `writeDeltas` did not write */
export function readDeltas(bytes: Uint8Array | undefined, bundle: string): readonly Delta[] {
  if (bytes === undefined) return [];
  try {
    const { deltas } = kept.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    return deltas.map((delta) => ({ revision: delta.revision, patch: delta.patch }));
  } catch (cause) {
    throw new PolicyError(`The deltas in the bundle ${bundle} can't be read. Get the bundle again.`, [], { cause });
  }
}

export function writeDeltas(deltas: readonly Delta[]): Uint8Array {
  return Buffer.from(`${JSON.stringify({ version: 1, deltas })}\n`);
}

/**
 * Changes data in place, one operation after the other, as OPA's store does (OPA's docs: `upsert`, `replace`, `remove`; paths
 * as of RFC 6901, percent-encoded as well).
 *
 * @throws PolicyError where anything of it can't be done or lies outside of the roots; the data is of no use then
 */
export function applyDelta(data: Record<string, unknown>, { patch: text }: Delta, roots: readonly string[]): void {
  const read = readBaseDocument(patchFile, Buffer.from(text));
  if (isFaults(read)) throw new PolicyError("The delta's patch.json can't be read.", read);
  const parsed = patch.safeParse(read);
  if (!parsed.success)
    throw refusal(`must be {"data": [{"op": "upsert", "path": "/a/b", "value": ...}]}: ${describe(parsed.error)}`);
  for (const [index, one] of parsed.data.data.entries()) {
    const why = applyOperation(data, one, roots);
    if (why !== undefined) throw refusal(`data[${index}]: ${one.op} ${JSON.stringify(one.path)} ${why}`);
  }
}

function refusal(message: string): PolicyError {
  const fault = { code: 'invalid_delta', message, file: patchFile, row: undefined, column: undefined };
  return new PolicyError('The delta does not fit the data that it is to change.', [fault]);
}

function describe({ issues: [issue] }: z.ZodError): string {
  return `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`;
}

function isFaults(read: ReturnType<typeof readBaseDocument>): read is readonly PolicyFault[] {
  return Array.isArray(read);
}

/** @returns why it can't be done */
function applyOperation(
  data: Record<string, unknown>,
  { op, path: written, value }: Operation,
  roots: readonly string[],
): string | undefined {
  const path = parsePath(written);
  if (path === undefined) return 'is no path';
  const last = path.at(-1);
  if (last === undefined) return 'names all of data: have a snapshot sent';
  // The path as it is meant, not as it is written: an escape must not lead out.
  if (!isInRoots(roots, path)) return `is outside of the roots ${JSON.stringify(roots)}`;
  if (op !== 'remove' && value === undefined) return 'has no value';
  let holder: unknown = data;
  for (const segment of path.slice(0, -1)) {
    const next = memberOf(holder, segment);
    if (next !== undefined) holder = next;
    else if (op === 'upsert' && isObject(holder)) {
      const made = {};
      put(holder, segment, made);
      holder = made;
    } else return 'names what is not there';
  }
  if (Array.isArray(holder)) return applyToList(holder, op, last, value);
  if (!isObject(holder)) return 'leads into what is no object';
  if (op !== 'upsert' && !Object.hasOwn(holder, last)) return 'names what is not there';
  if (op === 'remove') delete holder[last];
  else put(holder, last, value);
  return undefined;
}

/** An upsert inserts before the element, or behind the last one. */
function applyToList(list: unknown[], op: Operation['op'], place: string, value: unknown): string | undefined {
  const index = place === '-' ? list.length : /^(?:0|[1-9]\d{0,8})$/.test(place) ? Number(place) : undefined;
  if (index === undefined || index > list.length || (op !== 'upsert' && index === list.length))
    return 'names what is not there';
  if (op === 'upsert') list.splice(index, 0, value);
  else if (op === 'remove') list.splice(index, 1);
  else list[index] = value;
  return undefined;
}

function parsePath(written: string): readonly string[] | undefined {
  const trimmed = written.replace(/^\/+|\/+$/g, '');
  try {
    return trimmed === ''
      ? []
      : trimmed.split('/').map((part) => decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~'));
  } catch {
    return undefined;
  }
}

function memberOf(holder: unknown, segment: string): unknown {
  if (Array.isArray(holder)) return /^(?:0|[1-9]\d{0,8})$/.test(segment) ? holder[Number(segment)] : undefined;
  return isObject(holder) && Object.hasOwn(holder, segment) ? holder[segment] : undefined;
}

/** Also a member called `__proto__`. */
function put(holder: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(holder, name, { value, enumerable: true, writable: true, configurable: true });
}

function isObject(value: unknown): value is Record<string, unknown> {
  // A number that kept its digits is an object to JavaScript.
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value);
}
