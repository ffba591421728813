/**
 * Remembers what a policy gave for the values that it reads. Most requests of a caller differ only in what the policy does
 * not look at, and an evaluation costs ten times as much as to look one up.
 *
 * Only where the same values give the same result: the policy calls no clock, random or network built-in, it is known what
 * it reads, and that is neither content nor something that no two requests share. One revision has one memory, so a reload
 * forgets everything.
 */
import type { LoadedPolicy, PolicyInput } from '../types.ts';

/** Results kept; the oldest leaves first. */
const mostResults = 1000;
/** Longer keys than this are no repeated requests, characters. */
const longestKey = 4096;

/** Members that no two requests share, or that hold what callers wrote. */
const unshared: ReadonlySet<string> = new Set([
  'request_id',
  'decision_id',
  'now_ns',
  'messages',
  'prompt',
  'system',
  'suffix',
  'template',
]);

/** @returns the policy with a memory, or the policy itself where results must not be remembered */
export function rememberResults(policy: LoadedPolicy): LoadedPolicy {
  const members = [...policy.reads.members];
  if (policy.reads.all || !policy.deterministic || members.some((member) => unshared.has(member))) return policy;
  const remembered = new Map<string, readonly unknown[]>();

  return {
    ...policy,
    evaluate(entrypoint, input) {
      const key = buildKey(entrypoint, input);
      if (key.length > longestKey) return policy.evaluate(entrypoint, input);
      const known = remembered.get(key);
      if (known !== undefined) return known;
      const results = policy.evaluate(entrypoint, input);
      if (results instanceof Promise) return results.then((settled) => remember(key, settled));
      return remember(key, results);
    },
    close() {
      remembered.clear();
      return policy.close();
    },
  };

  function remember(key: string, results: readonly unknown[]): readonly unknown[] {
    if (remembered.size >= mostResults) {
      const oldest = remembered.keys().next();
      if (oldest.done !== true) remembered.delete(oldest.value);
    }
    // Handed out again and again from now on: nobody may change it.
    remembered.set(key, freeze(results));
    return results;
  }

  /** One description after the other, none of which another can be taken for. */
  function buildKey(entrypoint: string, input: PolicyInput): string {
    let key = entrypoint;
    for (const member of members) key += `\n${describeValue(Reflect.get(input, member))}`;
    return key;
  }
}

/** Texts of frozen values, which come with request after request: the principal is one. */
const texts = new WeakMap<object, string>();

/**
 * JSON, but for strings, whose length says where they end, and for arrays, whose elements may have a text already;
 * `undefined` stands for an absent member, which no JSON text is.
 */
function describeValue(value: unknown): string {
  if (typeof value === 'string') return `s${value.length}:${value}`;
  if (Array.isArray(value)) {
    let text = `a${value.length}`;
    for (const element of value) text += `\n${describeValue(element)}`;
    return text;
  }
  if (typeof value !== 'object' || value === null) return String(value);
  if (!Object.isFrozen(value)) return JSON.stringify(value);
  let text = texts.get(value);
  if (text === undefined) {
    text = JSON.stringify(value);
    texts.set(value, text);
  }
  return text;
}

function freeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) freeze(member);
  }
  return value;
}
