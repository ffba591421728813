/** Who asks for what, as entities of Cedar, together with those that the policy brings in entities.json. */
import type { NamedModel, PolicyInput } from '../../types.ts';
import { actionEntity, actionNames, actionType, namespace } from './cedar-actions.ts';
import { type CedarValueJson, type EntityId, type EntityJson, keyOf } from './cedar-module.ts';
import { toRecord, toValue } from './cedar-values.ts';

export const types = {
  principal: `${namespace}::Principal`,
  role: `${namespace}::Role`,
  tenant: `${namespace}::Tenant`,
  model: `${namespace}::Model`,
  server: `${namespace}::Server`,
} as const;

export const server: EntityId = { type: types.server, id: 'ollama' };

export interface Question {
  readonly principal: EntityId;
  readonly action: EntityId;
  readonly resource: EntityId;
  readonly entities: EntityJson[];
}

export interface EntitySource {
  /** One question for each model that the request names, or one for the server. */
  ask(input: PolicyInput): readonly Question[];
}

export interface EntityOptions {
  /** Of entities.json. */
  readonly entities: readonly EntityJson[];
  /** Entities that policies follow by name, which need not be near to principal, action or resource. */
  readonly followed: readonly EntityId[];
  /** Whether any policy reads the caller's claims. */
  readonly claims: boolean;
}

type Known = ReadonlyMap<string, EntityJson>;

export function createEntitySource({ entities, followed, claims }: EntityOptions): EntitySource {
  const known: Known = new Map(entities.map((entity) => [keyOf(idOf(entity.uid)), entity]));
  const always = gather(
    followed.flatMap((id) => known.get(keyOf(id)) ?? []),
    known,
  );
  const callers = new WeakMap<PolicyInput['principal'], Known>();
  const actions = new Map<string, Known>();

  return {
    ask(input) {
      const { principal, operation } = input;
      let caller = callers.get(principal);
      if (caller === undefined) {
        caller = gather([withSaid(principalEntity(principal, claims), known)], known);
        callers.set(principal, caller);
      }
      let action = actions.get(operation);
      if (action === undefined) {
        action = gather([actionEntity(operation)], known);
        // Those that this version does not know are as many as anybody likes.
        if (actionNames.has(operation)) actions.set(operation, action);
      }
      const common = [...always, ...caller, ...action];
      return resourcesOf(input).map((resource) => ({
        principal: { type: types.principal, id: principal.id },
        action: { type: actionType, id: operation },
        resource: idOf(resource.uid),
        entities: [...new Map([...common, ...gather([withSaid(resource, known)], known)]).values()],
      }));
    },
  };
}

/** What the sidecar knows of an entity goes over what entities.json says of it. */
function withSaid(entity: EntityJson, known: Known): EntityJson {
  const said = known.get(keyOf(idOf(entity.uid)));
  if (said === undefined) return entity;
  return {
    uid: entity.uid,
    attrs: { ...said.attrs, ...entity.attrs },
    parents: [...entity.parents, ...said.parents],
    ...(said.tags && { tags: said.tags }),
  };
}

/**
 * The entities, and those that their attributes lead to, each with all that is above it as its parents. Policies can only
 * follow attributes and ask what is above something; Cedar reads all entities anew for each decision, so those that are only
 * above others are left out, which is most of them.
 */
function gather(from: readonly EntityJson[], known: Known): Known {
  const found = new Map<string, EntityJson>();
  const waiting = [...from];
  for (let entity = waiting.pop(); entity !== undefined; entity = waiting.pop()) {
    const key = keyOf(idOf(entity.uid));
    if (found.has(key)) continue;
    found.set(key, { ...entity, parents: ancestorsOf(entity, known) });
    for (const link of linksOf(entity)) waiting.push(...[known.get(link) ?? []].flat());
  }
  return found;
}

function ancestorsOf(entity: EntityJson, known: Known): EntityId[] {
  const found = new Map<string, EntityId>();
  const waiting = entity.parents.map(idOf);
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    const key = keyOf(id);
    if (found.has(key)) continue;
    found.set(key, id);
    waiting.push(...(known.get(key)?.parents ?? []).map(idOf));
  }
  return [...found.values()];
}

/** The entities that attributes and tags hold. */
function linksOf({ attrs, tags }: EntityJson): string[] {
  const links: string[] = [];
  const look = (value: CedarValueJson | undefined): void => {
    if (typeof value !== 'object' || value === null) return;
    if ('__entity' in value && isId(value.__entity)) links.push(keyOf(value.__entity));
    for (const child of Object.values(value)) look(child);
  };
  look(attrs);
  look(tags);
  return links;
}

export function idOf(uid: EntityJson['uid']): EntityId {
  return '__entity' in uid ? uid.__entity : uid;
}

function isId(value: unknown): value is EntityId {
  return typeof value === 'object' && value !== null && 'type' in value && 'id' in value;
}

function principalEntity(principal: PolicyInput['principal'], withClaims: boolean): EntityJson {
  const { id, kind, roles, permissions, tenant, claims } = principal;
  return {
    uid: { type: types.principal, id },
    attrs: {
      kind,
      roles: [...roles],
      permissions: [...permissions],
      ...(tenant !== undefined && { tenant }),
      ...(withClaims && { claims: toRecord(claims) }),
    },
    parents: [
      ...roles.map((role) => ({ type: types.role, id: role })),
      ...(tenant === undefined ? [] : [{ type: types.tenant, id: tenant }]),
    ],
  };
}

function resourcesOf({ model, model_refs: refs = [] }: PolicyInput): readonly EntityJson[] {
  // A name that stands in two members is asked for once.
  const models = new Map(refs.map((ref) => [`${ref.source} ${shortName(ref)}`, ref]));
  if (models.size > 0) return [...models.values()].map((ref) => modelEntity(shortName(ref), ref));
  if (model !== undefined) return [modelEntity(model, undefined)];
  return [{ uid: server, attrs: {}, parents: [] }];
}

function modelEntity(name: string, ref: NamedModel | undefined): EntityJson {
  const { part: _part, raw: _raw, ...facts } = ref ?? { part: '', raw: '' };
  return {
    uid: { type: types.model, id: name },
    attrs: { ...toRecord(facts), short: toValue(name) ?? '' },
    parents: [server],
  };
}

/** What Ollama lets people leave out is left out: `llama3.2` for registry.ollama.ai/library/llama3.2:latest. */
function shortName({ host, namespace: owner, name, tag }: NamedModel): string {
  const isDefault = host === 'registry.ollama.ai';
  const path = [...(isDefault ? [] : [host]), ...(isDefault && owner === 'library' ? [] : [owner]), name].join('/');
  return tag === 'latest' ? path : `${path}:${tag}`;
}
