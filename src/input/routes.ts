/**
 * Every route that is proxied. What is not in this table is answered 404 and never reaches the upstream; Ollama's own
 * router would decode and clean a path before it matches, which is why only exact paths count here.
 *
 * To add a route: a row here, and for a JSON body of a new kind a struct in `known-members.ts` and a reader in `ask/`.
 */
import { RequestError } from '../errors.ts';
import type { Api, Operation } from '../types.ts';

/** The Go struct that Ollama decodes the body into; names a struct of `known-members.ts` and a reader of `ask/`. */
export type RequestType =
  | 'ollama.chat'
  | 'ollama.generate'
  | 'ollama.embed'
  | 'ollama.embeddings'
  | 'ollama.show'
  | 'ollama.pull'
  | 'ollama.push'
  | 'ollama.create'
  | 'ollama.copy'
  | 'ollama.delete'
  | 'ollama.alias'
  | 'ollama.alias_delete'
  | 'openai.chat'
  | 'openai.completion'
  | 'openai.embed'
  | 'openai.responses'
  | 'openai.image'
  | 'openai.image_edit'
  | 'anthropic.messages';

export interface Route {
  /** A last segment in braces stands for whatever `parameters` lets through there. */
  readonly path: string;
  readonly methods: readonly string[];
  readonly api: Api;
  readonly operation: Operation;
  /** `input.llm_action`, the name that existing policies know the operation by. */
  readonly llmAction: string;
  /** Undefined: the route takes no JSON; a blob, or nothing. */
  readonly request: RequestType | undefined;
}

/** Dialects that differ in the route alone share the name, so that a rule about it has no way around. */
const llmActions: Readonly<Record<Operation, string>> = {
  chat: 'llm:chat.completions',
  generate: 'llm:completions',
  embed: 'llm:embeddings',
  'models.list': 'llm:models.list',
  'models.show': 'llm:models.show',
  'models.ps': 'llm:models.ps',
  'models.pull': 'llm:models.pull',
  'models.push': 'llm:models.push',
  'models.create': 'llm:models.create',
  'models.copy': 'llm:models.copy',
  'models.delete': 'llm:models.delete',
  'blobs.check': 'llm:blobs.check',
  'blobs.create': 'llm:blobs.create',
  'aliases.list': 'llm:aliases.list',
  'aliases.create': 'llm:aliases.create',
  'aliases.delete': 'llm:aliases.delete',
  'account.show': 'llm:account.show',
  'account.signout': 'llm:account.signout',
  status: 'llm:status',
  version: 'llm:version',
  root: 'llm:root',
};

/** Ollama 0.17.4, `server/routes.go`, `GenerateRoutes`; `test/ollama/router.test.ts` compares. */
export const routes: readonly Route[] = [
  route('POST', '/api/chat', 'ollama', 'chat', 'ollama.chat'),
  route('POST', '/api/generate', 'ollama', 'generate', 'ollama.generate'),
  route('POST', '/api/embed', 'ollama', 'embed', 'ollama.embed'),
  route('POST', '/api/embeddings', 'ollama', 'embed', 'ollama.embeddings'),
  route('POST', '/v1/chat/completions', 'openai', 'chat', 'openai.chat'),
  route('POST', '/v1/completions', 'openai', 'generate', 'openai.completion'),
  route('POST', '/v1/embeddings', 'openai', 'embed', 'openai.embed'),
  route('POST', '/v1/responses', 'openai', 'chat', 'openai.responses'),
  route('POST', '/v1/images/generations', 'openai', 'generate', 'openai.image'),
  route('POST', '/v1/images/edits', 'openai', 'generate', 'openai.image_edit'),
  route('POST', '/v1/messages', 'anthropic', 'chat', 'anthropic.messages'),

  route('GET HEAD', '/api/tags', 'ollama', 'models.list'),
  route('GET', '/api/ps', 'ollama', 'models.ps'),
  route('POST', '/api/show', 'ollama', 'models.show', 'ollama.show'),
  route('GET', '/v1/models', 'openai', 'models.list'),
  route('GET', '/v1/models/{model}', 'openai', 'models.show'),

  route('POST', '/api/pull', 'ollama', 'models.pull', 'ollama.pull'),
  route('POST', '/api/push', 'ollama', 'models.push', 'ollama.push'),
  route('POST', '/api/create', 'ollama', 'models.create', 'ollama.create'),
  route('HEAD', '/api/blobs/{digest}', 'ollama', 'blobs.check'),
  route('POST', '/api/blobs/{digest}', 'ollama', 'blobs.create'),
  route('POST', '/api/copy', 'ollama', 'models.copy', 'ollama.copy'),
  route('DELETE', '/api/delete', 'ollama', 'models.delete', 'ollama.delete'),
  route('GET', '/api/experimental/aliases', 'ollama', 'aliases.list'),
  route('POST', '/api/experimental/aliases', 'ollama', 'aliases.create', 'ollama.alias'),
  route('DELETE', '/api/experimental/aliases', 'ollama', 'aliases.delete', 'ollama.alias_delete'),
  route('POST', '/api/me', 'ollama', 'account.show'),
  route('POST', '/api/signout', 'ollama', 'account.signout'),
  route('DELETE', '/api/user/keys/{key}', 'ollama', 'account.signout'),

  route('GET', '/api/status', 'ollama', 'status'),
  route('GET HEAD', '/api/version', 'ollama', 'version'),
  route('GET HEAD', '/', 'ollama', 'root'),
];

/** What may stand in the place of a parameter; anything else is no route. */
const parameters: ReadonlyMap<string, RegExp> = new Map([
  ['/v1/models/', /^(?:[\w.:-]|%2F|%3A)+$/i],
  ['/api/blobs/', /^sha256:[0-9a-f]{64}$/],
  ['/api/user/keys/', /^[\w-]+$/],
]);

const byPath = Map.groupBy(routes, ({ path }) => path);
const byPrefix = Map.groupBy(
  routes.filter(({ path }) => path.endsWith('}')),
  ({ path }) => path.slice(0, path.indexOf('{')),
);

/**
 * @param path as `parseTarget` gives it: plain, its prefix taken off, compared byte by byte
 * @throws RequestError `unknown_route`, or `method_not_allowed` with an `Allow` header (RFC 9110, 15.5.6)
 */
export function matchRoute(method: string, path: string): Route {
  const rows = path.endsWith('}') ? undefined : (byPath.get(path) ?? findTemplate(path));
  if (rows === undefined) throw new RequestError('unknown_route');
  for (const row of rows) if (row.methods.includes(method)) return row;
  const allow = rows.flatMap(({ methods }) => methods).join(', ');
  throw new RequestError('method_not_allowed', `This route takes ${allow}.`, { headers: { allow } });
}

/** The last segment, decoded, where the route has the parameter of this name there. */
export function readParameter({ path: template }: Route, name: string, path: string): string | undefined {
  return template.endsWith(`/{${name}}`) ? decodeURIComponent(path.slice(template.lastIndexOf('{'))) : undefined;
}

function findTemplate(path: string): readonly Route[] | undefined {
  const cut = path.lastIndexOf('/') + 1;
  const prefix = path.slice(0, cut);
  return parameters.get(prefix)?.test(path.slice(cut)) === true ? byPrefix.get(prefix) : undefined;
}

/**
 * The dialect to answer in before, or without, a route: what the caller seems to speak.
 *
 * @param target anything, also a target that was refused
 */
export function guessApi(target: string): Api {
  if (/\/v1\/messages(?:[/?#]|$)/.test(target)) return 'anthropic';
  return /\/v1(?:[/?#]|$)/.test(target) ? 'openai' : 'ollama';
}

function route(methods: string, path: string, api: Api, operation: Operation, request?: RequestType): Route {
  return { path, methods: methods.split(' '), api, operation, llmAction: llmActions[operation], request };
}
