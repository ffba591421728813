/**
 * Annotations of a Cedar policy as members of a decision: what a forbid says of the denial, and what a permit asks for. Each
 * but `reason` and `message` is a member of the same name, its value in JSON (design: decision).
 */

/** What a policy that decided has to say. */
export interface Statement {
  readonly effect: 'permit' | 'forbid';
  readonly code: string | undefined;
  readonly message: string | undefined;
  /** Members of the decision, by their names on the wire. */
  readonly members: Readonly<Record<string, unknown>>;
}

type Kind = 'object' | 'array' | 'status' | 'any';

const jsonMembers: ReadonlyMap<string, { readonly kind: Kind; readonly only?: 'permit' | 'forbid' }> = new Map([
  ['http_status', { kind: 'status', only: 'forbid' }],
  ['body', { kind: 'any', only: 'forbid' }],
  ['headers', { kind: 'object' }],
  ['request_headers_to_remove', { kind: 'array' }],
  ['response_headers_to_add', { kind: 'object' }],
  ['dynamic_metadata', { kind: 'object' }],
  ['obligations', { kind: 'object', only: 'permit' }],
]);

const ours: readonly string[] = ['id', 'reason', 'message', ...jsonMembers.keys()];

/** As `narrow` reads codes. */
const code = /^[a-z][a-z0-9_.-]{0,63}$/;

/**
 * @param report told what is wrong; the annotation is then left out
 * @returns what the policy says when it decides
 */
export function readAnnotations(
  effect: Statement['effect'],
  annotations: Readonly<Record<string, string | null>>,
  report: (message: string) => void,
): Statement {
  const members: Record<string, unknown> = {};
  for (const [name, written] of Object.entries(annotations)) {
    const rule = jsonMembers.get(name);
    if (!ours.includes(name)) checkStranger(name, report);
    else if (written === null || written === '') report(`@${name} needs a value: @${name}("...")`);
    else if (name === 'reason' && !code.test(written))
      report(`@reason(${JSON.stringify(written)}) must be a code such as "model_not_allowed"; text goes into @message`);
    else if (rule?.only !== undefined && rule.only !== effect)
      report(`@${name} has no effect on a ${effect}; remove it`);
    else if (rule !== undefined) {
      const value = parseJson(written);
      if (isOf(rule.kind, value)) members[name] = value;
      else report(`@${name} must be ${described[rule.kind]}`);
    }
  }
  return { effect, code: annotations['reason'] ?? undefined, message: annotations['message'] ?? undefined, members };
}

/** A slip of the pen must not lose an obligation; other annotations are the author's own. */
function checkStranger(name: string, report: (message: string) => void): void {
  const meant = ours.find((known) => normalize(known) === normalize(name) || differInOne(known, name));
  if (meant !== undefined && meant !== 'id') report(`@${name} is unknown; did you mean @${meant}?`);
  else if (name.startsWith('opallama')) report(`@${name} is unknown; known are @${ours.join(', @')}`);
}

function normalize(name: string): string {
  return name.toLowerCase().replaceAll('_', '').replace(/s$/, '');
}

/** One letter more, less or other, or two neighbours exchanged. */
function differInOne(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const [left, right] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  return (left.length <= 1 && right.length <= 1) || (left.length === 2 && left === [...right].reverse().join(''));
}

const described: Readonly<Record<Kind, string>> = {
  object: 'a JSON object',
  array: 'a JSON array',
  status: 'a whole number from 400 to 499',
  any: 'JSON',
};

const broken: unique symbol = Symbol();

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return broken;
  }
}

function isOf(kind: Kind, value: unknown): boolean {
  switch (kind) {
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'array':
      return Array.isArray(value);
    case 'status':
      return Number.isInteger(value) && Number(value) >= 400 && Number(value) <= 499;
    case 'any':
      return value !== broken;
  }
}
