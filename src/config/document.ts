import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { inOnePiece } from '../one-piece.ts';
import type { Fault, Path } from './faults.ts';

/** Counts from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A YAML document as plain values, and where each member and list item stands. */
export interface ReadDocument {
  readonly tree: unknown;
  readonly places: ReadonlyArray<{ readonly path: Path; readonly position: Position }>;
  readonly faults: ReadonlyArray<Pick<Fault, 'text'> & { readonly position: Position }>;
}

/** Far above any configuration, far below what stops the process: the file may come from someone else. */
const limits = { characters: 1_048_576, nodes: 20_000, depth: 32 };

/** What the yaml package says in terms of itself, said in terms of a configuration. */
const sentences: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'this member stands twice',
  MULTIPLE_DOCS: 'a second document begins here; a configuration is one document',
};

/**
 * Reads one YAML 1.2 document.
 *
 * The values are built here and not by the package, so that aliases are counted each time they are used (a few lines of
 * them can stand for gigabytes) and each value is known by its place.
 */
export function readDocument(text: string): ReadDocument {
  const start = { line: 1, column: 1 };
  if (text.length > limits.characters) return unreadable(start, 'longer than 1 MiB');
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    // 'silent' would also keep silent about a second document.
    logLevel: 'error',
  });
  const positionAt = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  // An unknown tag is only a warning there, but it says that the value is meant to be something else than it is read as.
  const faults = [...document.errors, ...document.warnings]
    .slice(0, 20)
    .map((fault) => ({ position: positionAt(fault.pos[0]), text: sentences[fault.code] ?? fault.message }));
  if (faults.length > 0) return { tree: undefined, places: [], faults };

  const places: Array<{ path: Path; position: Position }> = [];
  let nodes = 0;

  const build = (node: Node | null, path: Path, position: Position): unknown => {
    nodes += 1;
    if (nodes > limits.nodes)
      throw new DocumentError('there are too many values, counting what aliases repeat', position);
    if (path.length > limits.depth) throw new DocumentError('nested too deep', position);
    if (isAlias(node)) {
      const target = node.resolve(document);
      if (target === undefined) throw new DocumentError(`no anchor &${node.source} stands before this alias`, position);
      return build(target, path, position);
    }
    if (isMap(node)) {
      return Object.fromEntries(
        node.items.map(({ key, value }) => {
          const name = isScalar(key) ? String(key.value) : '';
          const at = positionAt(isScalar(key) ? (key.range?.[0] ?? 0) : 0);
          places.push({ path: [...path, name], position: at });
          return [name, build(asNode(value), [...path, name], at)];
        }),
      );
    }
    if (isSeq(node)) {
      return node.items.map((item, index) => {
        const value = asNode(item);
        const at = value?.range ? positionAt(value.range[0]) : position;
        places.push({ path: [...path, index], position: at });
        return build(value, [...path, index], at);
      });
    }
    if (!isScalar(node)) return null;
    // A piece of the file, which would keep all of it, and which names roles and callers in the record of each request.
    return typeof node.value === 'string' ? inOnePiece(node.value) : node.value;
  };

  try {
    return { tree: build(document.contents, [], start), places, faults: [] };
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    return unreadable(error.position, error.message);
  }
}

function asNode(value: unknown): Node | null {
  return isMap(value) || isSeq(value) || isScalar(value) || isAlias(value) ? value : null;
}

function unreadable(position: Position, text: string): ReadDocument {
  return { tree: undefined, places: [], faults: [{ position, text }] };
}

class DocumentError extends Error {
  readonly position: Position;

  constructor(message: string, position: Position) {
    super(message);
    this.position = position;
  }
}
