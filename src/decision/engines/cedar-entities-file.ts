/** entities.json: roles and what else a Cedar policy knows beside the request. */
import type { PolicyFault } from '../../errors.ts';
import { parseExactJson } from '../../exact-json.ts';
import { actionType } from './cedar-actions.ts';
import type { Cedar, CedarValueJson, EntityId, EntityJson } from './cedar-module.ts';

/**
 * @param texts file name and text of each
 * @param schema that the entities must follow, undefined where there is none
 */
export function readEntities(
  cedar: Cedar,
  texts: ReadonlyArray<readonly [file: string, text: string]>,
  schema: string | undefined,
  faults: PolicyFault[],
): readonly EntityJson[] {
  const entities: EntityJson[] = [];
  for (const [file, text] of texts) {
    const report = (message: string, row?: number, column?: number): void => {
      faults.push({ code: 'cedar_entities', message, file, row, column });
    };
    const parsed = parse(text, report);
    if (parsed === undefined) continue;
    const before = faults.length;
    if (!Array.isArray(parsed))
      report('must be a list of entities: [{"uid": {"type": "...", "id": "..."}, "attrs": {}, "parents": []}]');
    const found = (Array.isArray(parsed) ? parsed : []).flatMap((entity: unknown, index) => {
      const read = readEntity(entity);
      if (typeof read !== 'string') return [read];
      report(`entity ${index + 1} ${read}`);
      return [];
    });
    if (faults.length > before) continue;
    entities.push(...found);
    // All of them together, so that a double in two files is found.
    const checked = cedar.checkParseEntities({ entities, ...(schema !== undefined && { schema }) });
    if (checked.type === 'failure')
      for (const { message, help } of checked.errors) report([message, help ?? []].flat().join('; '));
  }
  return entities;
}

function parse(text: string, report: (message: string, row?: number, column?: number) => void): unknown {
  try {
    return parseExactJson(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    // V8 names the place in most of its messages.
    const [, row, column] = /\(line (\d+) column (\d+)\)/.exec(message) ?? [];
    report(
      message.replace(/ in JSON at position .*/s, ''),
      row === undefined ? undefined : Number(row),
      column === undefined ? undefined : Number(column),
    );
    return undefined;
  }
}

/** @returns what is wrong, where something is */
function readEntity(value: unknown): EntityJson | string {
  if (!isRecord(value)) return 'must be an object';
  const stranger = Object.keys(value).find((name) => !['uid', 'attrs', 'parents', 'tags'].includes(name));
  if (stranger !== undefined) return `has ${JSON.stringify(stranger)}; known are uid, attrs, parents and tags`;
  const uid = readId(value['uid']);
  if (uid === undefined) return 'needs "uid": {"type": "...", "id": "..."}';
  if (uid.type === actionType) return "is an action; those are the sidecar's own";
  const { attrs = {}, parents = [], tags } = value;
  const ids = Array.isArray(parents) ? parents.map(readId) : [undefined];
  const known = ids.filter((id) => id !== undefined);
  if (known.length < ids.length) return 'needs "parents": a list of {"type": "...", "id": "..."}';
  if (!isValues(attrs)) return 'needs "attrs": an object without null';
  if (tags === undefined) return { uid, attrs, parents: known };
  return isValues(tags) ? { uid, attrs, parents: known, tags } : 'needs "tags": an object without null';
}

function readId(value: unknown): EntityId | undefined {
  const inner = isRecord(value) && isRecord(value['__entity']) ? value['__entity'] : value;
  if (!isRecord(inner)) return undefined;
  const { type, id } = inner;
  return typeof type === 'string' && typeof id === 'string' ? { type, id } : undefined;
}

/** Cedar says what else is wrong with a value. */
function isValues(value: unknown): value is Record<string, CedarValueJson> {
  return isRecord(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
