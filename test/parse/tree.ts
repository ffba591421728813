/**
 * Documents as trees whose keys and scalars are texts: what JSON allows to be said twice, spelled oddly or said wrongly must
 * survive until it is written.
 */
export type Random = (below: number) => number;

export type Node =
  | { readonly kind: 'object'; readonly members: Member[] }
  | { readonly kind: 'array'; readonly items: Node[] }
  | { readonly kind: 'raw'; readonly text: string };

export interface Member {
  /** With its quotes, as it will stand in the document. */
  key: string;
  value: Node;
}

export function raw(text: string): Node {
  return { kind: 'raw', text };
}

export function fromValue(value: unknown): Node {
  if (Array.isArray(value)) return { kind: 'array', items: value.map(fromValue) };
  if (typeof value !== 'object' || value === null) return raw(JSON.stringify(value));
  const members = Object.entries(value).map(([key, member]) => ({
    key: JSON.stringify(key),
    value: fromValue(member),
  }));
  return { kind: 'object', members };
}

export function copy(node: Node): Node {
  if (node.kind === 'raw') return node;
  if (node.kind === 'array') return { kind: 'array', items: node.items.map(copy) };
  return { kind: 'object', members: node.members.map(({ key, value }) => ({ key, value: copy(value) })) };
}

/** @param space called wherever white space may stand */
export function write(node: Node, space: () => string): string {
  if (node.kind === 'raw') return node.text;
  if (node.kind === 'array') return `[${node.items.map((item) => space() + write(item, space) + space()).join(',')}]`;
  const members = node.members.map(
    ({ key, value }) => `${space()}${key}${space()}:${space()}${write(value, space)}${space()}`,
  );
  return `{${members.join(',')}}`;
}

/** Everything below a node, itself first. */
export function* nodes(node: Node): Generator<Node> {
  yield node;
  if (node.kind === 'array') for (const item of node.items) yield* nodes(item);
  if (node.kind === 'object') for (const { value } of node.members) yield* nodes(value);
}

export function pick<T>(from: readonly T[], random: Random): T {
  const one = from[random(from.length)];
  if (one === undefined) throw new Error('Nothing to pick from.');
  return one;
}
