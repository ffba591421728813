/**
 * What can be known of a policy from the syntax tree that `opa parse --format json` prints: the part of `opa/inspect.go`,
 * `reads.go` and `shape.go` for an `opa` command. Where it sees less it says `all` and `unknown`.
 */
import { z } from 'zod';
import type { EntrypointShape } from '../../types.ts';

const term = z.object({ type: z.string(), value: z.unknown() });
type Term = z.infer<typeof term>;

const place = z.object({ row: z.number(), col: z.number() });

const moduleTree = z.object({
  package: z.object({ path: z.array(term) }),
  rules: z
    .array(
      z.object({
        location: place.optional(),
        head: z.object({ ref: z.array(term), args: z.array(term).optional() }),
      }),
    )
    .optional(),
});

export interface Rule {
  /** Without `data`; constant steps only. */
  readonly path: readonly string[];
  readonly packageLength: number;
  readonly isFunction: boolean;
  readonly row: number | undefined;
  readonly column: number | undefined;
}

export interface ModuleFacts {
  readonly package: readonly string[];
  readonly rules: readonly Rule[];
  readonly reads: { readonly all: boolean; readonly members: ReadonlySet<string> };
  /** Names of everything that is called or put in place of a function, built-in or not, with their places. */
  readonly calls: ReadonlyArray<{ readonly name: string; readonly row?: number; readonly column?: number }>;
}

/** @param json what `opa parse --format json --json-include locations,-comments` printed for one module */
export function factsOf(json: unknown): ModuleFacts {
  const tree = moduleTree.parse(json);
  const path = constantSteps(tree.package.path);
  const rules = (tree.rules ?? []).map(({ head, location }) => ({
    // The first step of a head is a name although it is written as a variable.
    path: [...path, String(head.ref[0]?.value), ...constantSteps(head.ref)],
    packageLength: path.length,
    isFunction: head.args !== undefined,
    row: location?.row,
    column: location?.col,
  }));
  const found = { all: false, members: new Set<string>(), calls: [] as ModuleFacts['calls'][number][] };
  walk(json, found);
  return { package: path, rules, reads: found, calls: found.calls };
}

/** Strings after the first step, up to the first one that is computed. */
function constantSteps(ref: readonly Term[]): readonly string[] {
  const steps: string[] = [];
  for (const { type, value } of ref.slice(1)) {
    if (type !== 'string' || typeof value !== 'string') break;
    steps.push(value);
  }
  return steps;
}

interface Found {
  all: boolean;
  readonly members: Set<string>;
  readonly calls: Array<ModuleFacts['calls'][number]>;
}

// Neither reads anything, and the schemas of annotations name `input`.
const silent = new Set(['annotations', 'comments', 'location']);

function walk(node: unknown, found: Found): void {
  if (Array.isArray(node)) {
    for (const child of node) walk(child, found);
    return;
  }
  if (!isObject(node)) return;
  if (node['type'] === 'var' && node['value'] === 'input') found.all = true;
  if (node['type'] === 'ref' && Array.isArray(node['value'])) {
    walkRef(node['value'], found);
    return;
  }
  if (node['type'] === 'call') noteCall(node['value'], found);
  noteCall(node['terms'], found);
  if ('target' in node) {
    if (isInput(stepsOf(node['target'])[0])) found.all = true;
    noteCall([node['value']], found);
  }
  for (const [name, child] of Object.entries(node)) if (!silent.has(name)) walk(child, found);
}

function walkRef(steps: readonly unknown[], found: Found): void {
  if (!isInput(steps[0])) {
    walk(steps, found);
    return;
  }
  const first = steps[1];
  if (isObject(first) && first['type'] === 'string' && typeof first['value'] === 'string')
    found.members.add(first['value']);
  else found.all = true;
  walk(steps.slice(1), found);
}

function noteCall(terms: unknown, found: Found): void {
  if (!Array.isArray(terms)) return;
  const operator: unknown = terms[0];
  const steps = stepsOf(operator);
  if (steps.length === 0) return;
  const at = z.object({ location: place }).safeParse(operator);
  found.calls.push({
    name: steps.map((step) => (isObject(step) ? String(step['value']) : '')).join('.'),
    ...(at.success ? { row: at.data.location.row, column: at.data.location.col } : {}),
  });
}

function stepsOf(node: unknown): readonly unknown[] {
  return isObject(node) && node['type'] === 'ref' && Array.isArray(node['value']) ? node['value'] : [];
}

function isInput(node: unknown): boolean {
  return isObject(node) && node['type'] === 'var' && node['value'] === 'input';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function pathOf(entrypoint: string): readonly string[] {
  return entrypoint.split('/').filter((step) => step !== '');
}

/** Whether a query for it has a rule behind it; a function has no value to ask for. */
export function isEvaluable(entrypoint: string, modules: readonly ModuleFacts[]): boolean {
  const path = pathOf(entrypoint);
  return rulesOf(modules).some((rule) => !rule.isFunction && (begins(rule.path, path) || begins(path, rule.path)));
}

/** The rule of `opa/shape.go`: `deny_list` is said only where nothing, data included, could be an `allow`. */
export function shapeOf(
  entrypoint: string,
  modules: readonly ModuleFacts[],
  data: Readonly<Record<string, unknown>>,
): EntrypointShape {
  const path = pathOf(entrypoint);
  const rules = rulesOf(modules);
  if (path.length === 0) return 'unknown';
  if (rules.some((rule) => rule.path.length === path.length && begins(rule.path, path))) return 'rule';
  for (const name of ['allow', 'allowed']) {
    const below = [...path, name];
    const defined =
      rules.some((rule) => begins(rule.path, below)) || modules.some((each) => begins(each.package, below));
    if (defined || isInData(data, below)) return 'allow';
  }
  const denies = rules.some(
    (rule) =>
      !rule.isFunction &&
      rule.packageLength <= path.length &&
      rule.path.length === path.length + 1 &&
      begins(rule.path, [...path, 'deny']),
  );
  return denies ? 'deny_list' : 'unknown';
}

/** Rules that would hide a base document; OPA's own check when it loads both. */
export function rulesOverData(facts: ModuleFacts, data: Readonly<Record<string, unknown>>): readonly Rule[] {
  return facts.rules.filter((rule) => isInData(data, rule.path));
}

function rulesOf(modules: readonly ModuleFacts[]): readonly Rule[] {
  return modules.flatMap((each) => each.rules);
}

function begins(path: readonly string[], prefix: readonly string[]): boolean {
  return prefix.every((step, index) => path[index] === step);
}

function isInData(data: unknown, path: readonly string[]): boolean {
  let at = data;
  for (const step of path) {
    if (!isObject(at) || !Object.hasOwn(at, step)) return false;
    at = at[step];
  }
  return true;
}
