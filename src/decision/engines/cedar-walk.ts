/** What a Cedar policy mentions, found in its JSON form (docs: Cedar, JSON policy format). */
import type { EntityId } from './cedar-module.ts';

export interface Mention {
  /** First attributes of `context`; undefined where it is used as a whole. */
  readonly context: readonly string[] | undefined;
  /** Whether claims of anything are read. */
  readonly claims: boolean;
  /** Every entity that is named. */
  readonly literals: readonly EntityId[];
  /** Of these, the ones whose attributes or parents may be asked for: not those that something is only compared with. */
  readonly followed: readonly EntityId[];
  /** Of literals and of `is`. */
  readonly entityTypes: readonly string[];
}

/** @param policy JSON as `policyToJson` gives it */
export function mentionsOf(policy: object): Mention {
  const context = new Set<string>();
  const literals: EntityId[] = [];
  const followed: EntityId[] = [];
  const entityTypes = new Set<string>();
  let whole = false;
  let claims = false;

  const look = (node: unknown, isFollowed: boolean): void => {
    if (typeof node !== 'object' || node === null) return;
    const read = attributeOf(node);
    if (read !== undefined) {
      if (read.attribute === 'claims') claims = true;
      if (isContext(read.of)) {
        context.add(read.attribute);
        return;
      }
    }
    if (isContext(node)) whole = true;
    const { type, id } = idOf(node);
    if (typeof type === 'string' && typeof id === 'string') {
      literals.push({ type, id });
      if (isFollowed) followed.push({ type, id });
    }
    if (typeof type === 'string') entityTypes.add(type);
    for (const [name, child] of Object.entries(node)) {
      // What stands right of `in` is looked for among the parents of what stands left of it.
      if (name === 'in' && isPair(child)) {
        look(child.left, isFollowed);
        look(child.right, isComputed(child.right));
      } else look(child, isFollowed);
    }
  };
  const { conditions, annotations: _, ...scope } = { conditions: [], annotations: undefined, ...policy };
  look(scope, false);
  look(conditions, true);
  return { context: whole ? undefined : [...context], claims, literals, followed, entityTypes: [...entityTypes] };
}

/** `x.a` and `x has a.b`; both name the first attribute after `x`. */
function attributeOf(node: object): { readonly of: unknown; readonly attribute: string } | undefined {
  const access = '.' in node ? node['.'] : 'has' in node ? node.has : undefined;
  if (typeof access !== 'object' || access === null || !('left' in access) || !('attr' in access)) return undefined;
  const attribute: unknown = Array.isArray(access.attr) ? access.attr[0] : access.attr;
  return typeof attribute === 'string' ? { of: access.left, attribute } : undefined;
}

function isPair(node: unknown): node is { readonly left: unknown; readonly right: unknown } {
  return typeof node === 'object' && node !== null && 'left' in node && 'right' in node;
}

/** Anything but an entity or a set of them, as they are written. */
function isComputed(node: unknown): boolean {
  return !(
    typeof node === 'object' &&
    node !== null &&
    ('Value' in node || ('Set' in node && Array.isArray(node.Set) && !node.Set.some(isComputed)))
  );
}

function isContext(node: unknown): boolean {
  return typeof node === 'object' && node !== null && 'Var' in node && node.Var === 'context';
}

/** `{type, id}` in scopes, `{__entity: {type, id}}` in expressions, `{entity_type}` of `is`. */
function idOf(node: object): { readonly type: unknown; readonly id: unknown } {
  return {
    type: 'type' in node ? node.type : 'entity_type' in node ? node.entity_type : undefined,
    id: 'id' in node ? node.id : undefined,
  };
}
