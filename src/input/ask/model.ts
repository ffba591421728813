import { RequestError } from '../../errors.ts';
import type { ModelRef, NamedModel } from '../../types.ts';
import { resolveModelName } from '../model-name.ts';
import { type JsonObject, refuse, textOf } from './members.ts';

/** The models of a request: the one that it is about, and all that it names. */
export interface AskedModels {
  readonly model: ModelRef;
  readonly models: readonly NamedModel[];
}

/**
 * The member `model` alone, as the routes that run a model have it.
 *
 * @throws RequestError `missing_model`, `invalid_model`; so does each function here
 */
export function readModel(body: JsonObject): AskedModels {
  const value = body['model'];
  if (typeof value !== 'string') throw new RequestError('missing_model');
  return describeModel(resolveModelName(value));
}

/** A few models are asked for all the time, and what describes them is shared. */
const described = new WeakMap<ModelRef, AskedModels>();

export function describeModel(model: ModelRef): AskedModels {
  const known = described.get(model);
  if (known !== undefined) return known;
  // The array is not frozen: V8 writes all that holds a frozen one as JSON five times as slowly (docs/decisions/035).
  const models: readonly NamedModel[] = [Object.freeze({ ...model, part: 'model' })];
  const fresh = Object.freeze({ model, models });
  described.set(model, fresh);
  return fresh;
}

/**
 * `model`, or `name` where that is empty or missing (`cmp.Or` in Ollama's handlers). Where both are there Ollama reads the
 * first; policy sees both, because a caller may think otherwise.
 */
export function readModelOrName(body: JsonObject): AskedModels {
  const model = textOf(body['model'], 'model');
  const name = textOf(body['name'], 'name');
  if (model === '' && name === '')
    throw new RequestError('missing_model', 'A "model" is required, a non-empty string.');
  const models: NamedModel[] = [];
  if (model !== '') models.push(nameModel(model, 'model'));
  if (name !== '') models.push(nameModel(name, 'name'));
  return { model: resolveModelName(model || name), models };
}

/** Members that each must name a model; the first one is what the request is about. */
export function readParts(body: JsonObject, first: string, second?: string): AskedModels {
  const model = readPart(body, first);
  const models = [{ ...model, part: first }];
  if (second !== undefined) models.push({ ...readPart(body, second), part: second });
  return { model, models };
}

function readPart(body: JsonObject, part: string): ModelRef {
  const value = body[part];
  if (typeof value === 'string' && value !== '') return resolveModelName(value);
  throw new RequestError('missing_model', `The member "${part}" is required and must name a model.`);
}

export function nameModel(raw: string, part: string): NamedModel {
  return { ...resolveModelName(raw), part };
}

/** Host and port, with a scheme and a path at most: what Ollama's `remoteURL` makes of anything else is nobody's guess. */
const remoteHost = /^(?:https?:\/\/)?(?<host>[a-z0-9._-]+|\[[0-9a-f:]+\])(?::\d{1,5})?(?:\/[\w./-]*)?$/i;

/**
 * `from` on `/api/create`, with `remote_host` where that makes a model that forwards to another machine: then both are
 * cloud, and the second says where it goes.
 */
export function readFrom(body: JsonObject): readonly NamedModel[] {
  const from = textOf(body['from'], 'from');
  const remote = textOf(body['remote_host'], 'remote_host');
  if (from === '') return remote === '' ? [] : refuse('from', 'there where "remote_host" is');
  const model = nameModel(from, 'from');
  if (remote === '') return [model];
  const host = remoteHost.exec(remote)?.groups?.['host']?.toLowerCase();
  if (host === undefined || remote.length > 512) return refuse('remote_host', 'a URL of a host and a port');
  const full = `${host}/${model.namespace}/${model.name}:${model.tag}`;
  return [
    { ...model, source: 'cloud' },
    { ...model, raw: remote, full, host, source: 'cloud', part: 'remote_host' },
  ];
}
