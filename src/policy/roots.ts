/**
 * What part of `data` a bundle may define: the `roots` of its manifest (OPA's docs: bundle file format). Who builds a bundle
 * for one part must not be able to change another one.
 */
import { PolicyError, type PolicyFault } from '../errors.ts';
import { type Place, placeOfKey } from './base-document.ts';

/** All of `data`, which is what a bundle is for that names no roots. */
export const allOfData: readonly string[] = [''];

/**
 * @param value `roots` of a manifest
 * @returns without slashes at their ends
 * @throws PolicyError
 */
export function readRoots(value: unknown, bundle: string): readonly string[] {
  if (value === undefined || value === null) return allOfData;
  const texts: readonly unknown[] = Array.isArray(value) ? value : [undefined];
  const roots = texts.map((root) => {
    if (typeof root === 'string') return root.replace(/^\/+|\/+$/g, '');
    throw new PolicyError(`The manifest of the bundle ${bundle} has roots that are no list of strings.`);
  });
  for (const [at, root] of roots.entries()) {
    const twin = roots.slice(0, at).find((other) => overlaps(root, other));
    if (twin !== undefined)
      throw new PolicyError(`The manifest of the bundle ${bundle} has overlapping roots: "${twin}" and "${root}".`);
  }
  return roots;
}

/** Whether two roots have any path in common. */
export function overlaps(one: string, other: string): boolean {
  const [a, b] = [segmentsOf(one), segmentsOf(other)];
  return startsWith(a, b) || startsWith(b, a);
}

/** Whether a path of `data` is in one of the roots. */
export function isInRoots(roots: readonly string[], path: readonly string[]): boolean {
  return roots.some((root) => startsWith(path, segmentsOf(root)));
}

/** @param modules of the bundle's own, by file */
export function findModulesOutside(
  roots: readonly string[],
  modules: Readonly<Record<string, string>>,
): readonly PolicyFault[] {
  if (roots.includes('')) return [];
  return Object.entries(modules).flatMap(([file, text]) => {
    const found = packageOf(text);
    if (found === undefined) return [fault(roots, file, 'its package can not be told for sure')];
    if (isInRoots(roots, found.path)) return [];
    return [fault(roots, file, `package ${found.path.join('.')} is outside`, { line: found.row, col: 1 })];
  });
}

/** @param at where the document is mounted, and `value` what it says */
export function findDocumentOutside(
  roots: readonly string[],
  document: {
    readonly file: string;
    readonly bytes: Uint8Array;
    readonly at: readonly string[];
    readonly value: unknown;
  },
): PolicyFault | undefined {
  const { file, bytes, at, value } = document;
  const outside = findOutside(roots, at, value);
  if (outside === undefined) return undefined;
  return fault(roots, file, `data.${outside.join('.')} is outside`, placeOfKey(file, bytes, outside.slice(at.length)));
}

function fault(roots: readonly string[], file: string, what: string, at?: Place): PolicyFault {
  const permitted = roots.map((root) => `"${root}"`).join(', ') || 'nothing';
  const message = `${what}; the manifest's roots permit ${permitted}`;
  return { code: 'outside_roots', message, file, row: at?.line, column: at?.col };
}

/** @returns the path of the first value that is in no root, and holds none */
function findOutside(roots: readonly string[], path: readonly string[], value: unknown): readonly string[] | undefined {
  if (isInRoots(roots, path)) return undefined;
  const holdsRoot = roots.some((root) => startsWith(segmentsOf(root), path));
  if (!holdsRoot || typeof value !== 'object' || value === null || Array.isArray(value)) return path;
  for (const [key, member] of Object.entries(value)) {
    const outside = findOutside(roots, [...path, key], member);
    if (outside !== undefined) return outside;
  }
  return undefined;
}

/**
 * The package of a module, read without OPA's parser.
 *
 * @returns undefined where that takes more than is known here of how Rego is written: then nothing must be concluded
 */
function packageOf(text: string): { readonly path: readonly string[]; readonly row: number } | undefined {
  const head = /^(?:[ \t\r\n]|#[^\n]*(?:\n|$))*package[ \t]+/.exec(text)?.[0];
  if (head === undefined) return undefined;
  const rest = text.slice(head.length);
  const name = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\["[^"\\\n]*"\]|\[`[^`\n]*`\])*/.exec(rest)?.[0];
  // What follows must not go on with the name.
  if (name === undefined || !/^(?:[ \t\r]*(?:\n|#|;|$))/.test(rest.slice(name.length))) return undefined;
  if (/^(?:[ \t\r\n;]|#[^\n]*(?:\n|$))*[.[]/.test(rest.slice(name.length))) return undefined;
  const path = [...name.matchAll(/\["([^"]*)"\]|\[`([^`]*)`\]|\w+/g)].map(
    ([word, quoted, raw]) => quoted ?? raw ?? word,
  );
  return { path, row: head.split('\n').length };
}

function segmentsOf(root: string): readonly string[] {
  return root === '' ? [] : root.split('/');
}

function startsWith(path: readonly string[], start: readonly string[]): boolean {
  return start.every((segment, at) => path[at] === segment);
}
