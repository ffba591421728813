/**
 * Every route that is proxied. What is not in this table is answered 404 and never reaches the upstream; Ollama's own
 * router would decode and clean a path before it matches, which is why only exact paths count here.
 *
 * To add a route: a row here, and for a JSON body of a new kind a struct in `known-members.ts` and a reader in `ask/`.
 */
import { RequestError } from '../errors.ts';
import type { Api, Operation } from '../types.ts';

/** The Go struct that Ollama decodes the body into; names a struct of `known-members.ts` and a reader of `ask/`. */
export type RequestType = 'ollama.chat' | 'ollama.generate' | 'openai.chat';

export interface Route {
  readonly path: string;
  readonly methods: readonly string[];
  readonly api: Api;
  readonly operation: Operation;
  /** `input.llm_action`, the name that existing policies know the operation by. */
  readonly llmAction: string;
  /** Undefined: the route takes no body. */
  readonly request: RequestType | undefined;
}

/** Ollama 0.17.4, `server/routes.go`, `GenerateRoutes`. */
export const routes: readonly Route[] = [
  {
    path: '/api/chat',
    methods: ['POST'],
    api: 'ollama',
    operation: 'chat',
    llmAction: 'llm:chat.completions',
    request: 'ollama.chat',
  },
  {
    path: '/api/generate',
    methods: ['POST'],
    api: 'ollama',
    operation: 'generate',
    llmAction: 'llm:completions',
    request: 'ollama.generate',
  },
  {
    path: '/v1/chat/completions',
    methods: ['POST'],
    api: 'openai',
    operation: 'chat',
    llmAction: 'llm:chat.completions',
    request: 'openai.chat',
  },
  {
    path: '/api/tags',
    methods: ['GET', 'HEAD'],
    api: 'ollama',
    operation: 'models.list',
    llmAction: 'llm:models.list',
    request: undefined,
  },
  {
    path: '/v1/models',
    methods: ['GET'],
    api: 'openai',
    operation: 'models.list',
    llmAction: 'llm:models.list',
    request: undefined,
  },
  {
    path: '/api/version',
    methods: ['GET', 'HEAD'],
    api: 'ollama',
    operation: 'version',
    llmAction: 'llm:version',
    request: undefined,
  },
  {
    path: '/',
    methods: ['GET', 'HEAD'],
    api: 'ollama',
    operation: 'root',
    llmAction: 'llm:root',
    request: undefined,
  },
];

const byPath = new Map(routes.map((route) => [route.path, route]));

/**
 * @param path as `parseTarget` gives it: plain, its prefix taken off, compared byte by byte
 * @throws RequestError `unknown_route`, or `method_not_allowed` with an `Allow` header (RFC 9110, 15.5.6)
 */
export function matchRoute(method: string, path: string): Route {
  const route = byPath.get(path);
  if (route === undefined) throw new RequestError('unknown_route');
  if (!route.methods.includes(method)) {
    const allow = route.methods.join(', ');
    throw new RequestError('method_not_allowed', `This route takes ${allow}.`, { headers: { allow } });
  }
  return route;
}

/**
 * The dialect to answer in before, or without, a route: what the caller seems to speak.
 *
 * @param target anything, also a target that was refused
 */
export function guessApi(target: string): Api {
  return /\/v1(?:[/?#]|$)/.test(target) ? 'openai' : 'ollama';
}
