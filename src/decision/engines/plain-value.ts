/**
 * What a program returned, as the value that JSON has for it. Converted with care: `JSON.stringify` leaves out functions
 * and empties sets, and a `deny` that vanishes allows.
 *
 * @param value `undefined` members are absent, a `Set` is a list
 * @throws TypeError for what no policy could return, with its place in the value
 */
export function toPlain(value: unknown, place = 'the result', depth = 0): unknown {
  if (depth > deepest) throw new TypeError(`${place} is nested deeper than ${deepest} levels.`);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value;
    throw new TypeError(`${place} is ${value}, which is no number in JSON.`);
  }
  if (Array.isArray(value) || value instanceof Set) {
    return [...value].map((element: unknown, index) => toPlain(element, `${place}[${index}]`, depth + 1));
  }
  if (typeof value === 'object' && isPlainObject(value)) {
    const entries = Object.entries(value).filter(([, member]) => member !== undefined);
    return Object.fromEntries(entries.map(([key, member]) => [key, toPlain(member, `${place}.${key}`, depth + 1)]));
  }
  throw new TypeError(`${place} is ${describe(value)}; it must be made of objects, lists, text, numbers and booleans.`);
}

const deepest = 64;

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === null || prototype === Object.prototype) && !('toJSON' in value);
}

function describe(value: unknown): string {
  if (typeof value === 'object' && value !== null) return `of class ${value.constructor?.name ?? 'unknown'}`;
  return value === undefined ? 'undefined' : `a ${typeof value}`;
}
