import type { Path, Place } from './faults.ts';

/** The merged sources: one tree, and for every member the source that it comes from. */
export interface Layers {
  readonly tree: unknown;
  readonly places: ReadonlyMap<string, Place>;
}

function keyOf(path: Path): string {
  return JSON.stringify(path);
}

/** The source of a member, or of what it stands in. */
export function placeOf(layers: Layers, path: Path, otherwise: Place): Place {
  for (let length = path.length; length > 0; length -= 1) {
    const place = layers.places.get(keyOf(path.slice(0, length)));
    if (place !== undefined) return place;
  }
  return otherwise;
}

/** Notes a place without changing the tree. */
export function markPlace(layers: Layers, path: Path, place: Place): Layers {
  return { tree: layers.tree, places: new Map(layers.places).set(keyOf(path), place) };
}

/**
 * Lays a value over the tree: maps are merged member by member, everything else replaces what was there.
 * @returns undefined where an index would leave a hole in a list
 */
export function overlay(layers: Layers, path: Path, value: unknown, place: Place): Layers | undefined {
  if (isMap(value) && isMap(valueAt(layers.tree, path))) {
    return Object.entries(value).reduce<Layers | undefined>(
      (merged, [name, child]) => merged && overlay(merged, [...path, name], child, place),
      layers,
    );
  }
  const tree = setIn(layers.tree, path, value);
  if (tree === undefined) return undefined;
  const replaced = keyOf(path).slice(0, -1);
  const places = new Map(
    [...layers.places].filter(([key]) => !(path.length > 0 && (key.startsWith(`${replaced},`) || key === keyOf(path)))),
  );
  return { tree, places: places.set(keyOf(path), place) };
}

/** The value at a path of plain data; own members only. */
export function valueAt(tree: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, part) => {
    if (Array.isArray(value) && typeof part === 'number') return value[part];
    return isMap(value) && typeof part === 'string' && Object.hasOwn(value, part) ? value[part] : undefined;
  }, tree);
}

/** A copy with one value changed; the original stays, as values that aliases share must not change together. */
function setIn(tree: unknown, path: Path, value: unknown): unknown {
  const [part, ...rest] = path;
  if (part === undefined) return value;
  if (typeof part === 'number') {
    const items: readonly unknown[] = Array.isArray(tree) ? tree : [];
    if (part > items.length) return undefined;
    const item = setIn(items[part], rest, value);
    return item === undefined ? undefined : Object.assign([...items], { [part]: item });
  }
  const child = setIn(valueAt(tree, [part]), rest, value);
  if (child === undefined) return undefined;
  return Object.fromEntries([
    ...Object.entries(isMap(tree) ? tree : {}).filter(([name]) => name !== part),
    [part, child],
  ]);
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
