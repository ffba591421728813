import { readDocument } from './document.ts';
import { describeUnknown, type Path } from './faults.ts';
import { allPaths, memberAt, nearest, takesText } from './members.ts';

const prefix = 'OPALLAMA_';
export const adminTokenVariable = 'OPALLAMA_ADMIN_TOKEN';

/** A variable that is meant for the sidecar: a value for a member, or why it can't be one. */
export type Variable =
  | { readonly name: string; readonly path: Path; readonly value: unknown }
  | { readonly name: string; readonly fault: string };

/**
 * The variables `OPALLAMA_<PATH>`, its parts joined by `__`, in the order in which they are to be laid over the file:
 * outer members first, items of a list by their index.
 *
 * @param secrets names that a `_env` member refers to: what they hold is no configuration and is never looked at here
 */
export function readVariables(
  env: Readonly<Record<string, string | undefined>>,
  secrets: ReadonlySet<string>,
): Variable[] {
  return Object.entries(env)
    .flatMap(([name, text]) => (text !== undefined && isOurs(name, text, secrets) ? [readVariable(name, text)] : []))
    .toSorted((a, b) => depth(a) - depth(b) || a.name.localeCompare(b.name, 'en', { numeric: true }));
}

function depth(variable: Variable): number {
  return 'path' in variable ? variable.path.length : 0;
}

function isOurs(name: string, text: string, secrets: ReadonlySet<string>): boolean {
  // The commands that ask a running sidecar take their token from it.
  if (!name.startsWith(prefix) || secrets.has(name) || name === adminTokenVariable) return false;
  // Kubernetes writes these for a Service named "opallama" into every container of its namespace. A bare OPALLAMA_PORT
  // is its own only where it looks like it: a number there was written by a person, who must not be ignored in silence.
  if (name === 'OPALLAMA_PORT') return !/^(tcp|udp|sctp):\/\//i.test(text);
  return !/^OPALLAMA_(PORT|SERVICE)_/.test(name);
}

function readVariable(name: string, text: string): Variable {
  const path = pathOf(name);
  const member = memberAt(path);
  if (member === undefined) return { name, fault: unknownVariable(name, path) };
  const { value, fault } = readText(text, path);
  return fault === undefined ? { name, path, value } : { name, fault };
}

/**
 * A value that came as text, by a variable or a flag: as it stands where the member takes text, as YAML elsewhere
 * (`true`, `4096`, `[a, b]`, `{roles: [guest]}`).
 */
export function readText(text: string, path: Path): { readonly value?: unknown; readonly fault?: string } {
  const member = memberAt(path);
  if (text.trim() === '') return { fault: 'is empty; give it a value or unset it' };
  if (member === undefined) return { fault: describeUnknown(path) };
  if (takesText(member)) return { value: text };
  const { tree, faults } = readDocument(text);
  // Without the parser's own words: they can hold parts of the text, and a value in the wrong place may be a secret.
  if (faults.length > 0) return { fault: 'is not readable as YAML; write a list as [a, b] and a map as {name: value}' };
  return { value: tree };
}

function pathOf(name: string): Path {
  return name
    .slice(prefix.length)
    .split('__')
    .map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : part.toLowerCase()));
}

/** `OPALLAMA_LISTEN__DATA` for `['listen', 'data']`. */
export function variableOf(path: Path): string {
  return prefix + path.map((part) => String(part).toUpperCase()).join('__');
}

function unknownVariable(name: string, path: Path): string {
  // Compared without the part that all of them share, which would make every name near to every other.
  const names = allPaths().map((member) => variableOf(member).slice(prefix.length));
  const near = nearest(name.slice(prefix.length), names);
  if (near !== undefined) return `unknown member; did you mean ${prefix}${near}?`;
  const last = path.at(-1);
  if (path.length > 1 && memberAt(path.slice(0, -1)) !== undefined && last !== undefined) return describeUnknown(path);
  return 'no member of the configuration has this name, and no secret_env refers to it';
}
