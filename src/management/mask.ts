/**
 * What a policy's `data.system.log.mask` says of an event, done to it (OPA's docs: management API, masking sensitive data).
 * Whatever is not understood throws: an event that should have been masked must not go out as it was.
 */
import type { DecisionEvent } from './decision-event.ts';

/** What `data.system.log` of one revision says. A rule that is not there is undefined. */
export interface LogRules {
  /** @returns the results of the rule, none where it is undefined; rejects where it fails */
  readonly drop: ((event: DecisionEvent) => Promise<readonly unknown[]>) | undefined;
  readonly mask: ((event: DecisionEvent) => Promise<readonly unknown[]>) | undefined;
}

interface MaskRule {
  readonly op: 'remove' | 'upsert';
  readonly part: 'input' | 'result' | 'nd_builtin_cache';
  /** Below the part. */
  readonly path: readonly string[];
  readonly value: unknown;
}

/**
 * @param rules of every policy that decided: each may drop the event, and what any of them masks is masked
 * @returns the event as it may be sent; undefined where it is to be dropped
 * @throws whatever a rule fails with
 */
export async function applyRules(event: DecisionEvent, rules: readonly LogRules[]): Promise<DecisionEvent | undefined> {
  for (const { drop } of rules) {
    const results = (await drop?.(event)) ?? [];
    if (results.length === 1 && results[0] === true) return undefined;
  }
  const masks: MaskRule[] = [];
  for (const { mask } of rules) {
    const results = (await mask?.(event)) ?? [];
    if (results.length > 1) throw new TypeError('data.system.log.mask gave several results');
    if (results.length === 1) masks.push(...readRules(results[0]));
  }
  return masks.length === 0 ? event : maskEvent(event, masks);
}

function readRules(value: unknown): readonly MaskRule[] {
  if (!Array.isArray(value)) throw new TypeError('data.system.log.mask is no set of rules');
  return value.map((rule: unknown) => {
    if (typeof rule === 'string') return readRule('remove', rule, undefined);
    if (typeof rule !== 'object' || rule === null || !('op' in rule) || !('path' in rule))
      throw new TypeError('a rule of data.system.log.mask is neither a path nor {op, path}');
    return readRule(rule.op, rule.path, 'value' in rule ? rule.value : null);
  });
}

function readRule(op: unknown, path: unknown, value: unknown): MaskRule {
  if (op !== 'remove' && op !== 'upsert') throw new TypeError('op of data.system.log.mask is remove or upsert');
  if (typeof path !== 'string' || !path.startsWith('/'))
    throw new TypeError('a path of data.system.log.mask begins with a slash');
  const [part, ...rest] = path.slice(1).split('/');
  if (part !== 'input' && part !== 'result' && part !== 'nd_builtin_cache')
    throw new TypeError('a path of data.system.log.mask begins with /input, /result or /nd_builtin_cache');
  return { op, part, path: rest, value };
}

function maskEvent(event: DecisionEvent, rules: readonly MaskRule[]): DecisionEvent {
  // What is masked is a copy: others hold the recorded input too.
  const masked: { input?: unknown; result?: unknown } = structuredClone({ input: event.input, result: event.result });
  const erased = [...(event.erased ?? [])];
  const replaced: string[] = [];
  for (const rule of rules) {
    // Events here never have it.
    if (rule.part === 'nd_builtin_cache' || masked[rule.part] === undefined) continue;
    const name = `/${[rule.part, ...rule.path].map(encodeURIComponent).join('/')}`;
    if (rule.op === 'remove' && remove(masked, [rule.part, ...rule.path])) erased.push(name);
    if (rule.op === 'upsert' && upsert(masked, [rule.part, ...rule.path], rule.value)) replaced.push(name);
  }
  return {
    ...event,
    input: masked.input,
    result: masked.result,
    erased: erased.length > 0 ? erased : undefined,
    masked: replaced.length > 0 ? replaced : undefined,
  };
}

/** @returns whether there was anything */
function remove(root: unknown, path: readonly string[]): boolean {
  let node: unknown = root;
  for (const key of path.slice(0, -1)) node = child(node, key);
  const key = keyOf(node, path.at(-1) ?? '');
  if (key === undefined) return false;
  if (Array.isArray(node)) node.splice(Number(key), 1);
  else if (isObject(node)) delete node[key];
  return true;
}

/** @returns whether it could be set: objects on the way are made, elements of lists are not */
function upsert(root: unknown, path: readonly string[], value: unknown): boolean {
  let node: unknown = root;
  for (const key of path.slice(0, -1)) {
    if (isObject(node) && keyOf(node, key) === undefined) define(node, key, {});
    node = child(node, key);
  }
  const last = path.at(-1) ?? '';
  if (Array.isArray(node)) {
    const key = keyOf(node, last);
    if (key === undefined) return false;
    node[Number(key)] = value;
    return true;
  }
  if (!isObject(node)) return false;
  define(node, keyOf(node, last) ?? last, value);
  return true;
}

function child(node: unknown, name: string): unknown {
  const key = keyOf(node, name);
  return key === undefined || typeof node !== 'object' || node === null ? undefined : Reflect.get(node, key);
}

/** The name as it stands, or escaped as in a URL: both are written, and neither may be missed. */
function keyOf(node: unknown, name: string): string | undefined {
  if (Array.isArray(node)) return /^\d{1,9}$/.test(name) && Number(name) < node.length ? name : undefined;
  if (!isObject(node)) return undefined;
  if (Object.hasOwn(node, name)) return name;
  const plain = decode(name);
  return plain !== undefined && Object.hasOwn(node, plain) ? plain : undefined;
}

function decode(name: string): string | undefined {
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}

/** By definition, so that a key such as `__proto__` is only a key. */
function define(object: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
