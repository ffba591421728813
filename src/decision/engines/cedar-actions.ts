/** How the input's operations are actions of Cedar. */
import type { Operation } from '../../types.ts';
import type { EntityId, EntityJson } from './cedar-module.ts';

export const namespace = 'Opallama';
export const actionType = `${namespace}::Action`;

/** `read` and `run` only use what is there, and are `use` together; `manage` changes it, or asks about files and accounts. */
const groups = {
  root: 'read',
  version: 'read',
  status: 'read',
  'models.list': 'read',
  'models.show': 'read',
  'models.ps': 'read',
  chat: 'run',
  generate: 'run',
  embed: 'run',
  'models.pull': 'manage',
  'models.push': 'manage',
  'models.create': 'manage',
  'models.copy': 'manage',
  'models.delete': 'manage',
  'blobs.check': 'manage',
  'blobs.create': 'manage',
  'aliases.list': 'manage',
  'aliases.create': 'manage',
  'aliases.delete': 'manage',
  'account.show': 'manage',
  'account.signout': 'manage',
} as const satisfies Readonly<Record<Operation, 'read' | 'run' | 'manage'>>;

const parentsOf: ReadonlyMap<string, string> = new Map<string, string>([
  ...Object.entries(groups),
  ['read', 'use'],
  ['run', 'use'],
]);

export const actionNames: ReadonlySet<string> = new Set([...parentsOf.keys(), 'use', 'manage']);

/** The action with all groups that it is in; one that this version does not know is in none. */
export function actionEntity(operation: string): EntityJson {
  const parents: EntityId[] = [];
  for (let group = parentsOf.get(operation); group !== undefined; group = parentsOf.get(group))
    parents.push({ type: actionType, id: group });
  return { uid: { type: actionType, id: operation }, attrs: {}, parents };
}
