/** Our side of the comparison: the guard, the readers and the input document, on the same bytes. */
import { RequestError } from '../../src/errors.ts';
import { readAsked } from '../../src/input/ask/read.ts';
import { buildInput } from '../../src/input/build-input.ts';
import { guardJson } from '../../src/input/guard/guard.ts';
import { knownMembers } from '../../src/input/guard/known-members.ts';
import { type RequestType, type Route, routes } from '../../src/input/routes.ts';
import type { PolicyInput } from '../../src/types.ts';
import type { Document } from './judge.ts';

export type Ours =
  | { readonly input: PolicyInput; readonly includeUsage: boolean; readonly refused?: undefined }
  | { readonly refused: string };

const routeOf = new Map<RequestType, Route>();
for (const route of routes) {
  if (route.request !== undefined) routeOf.set(route.request, route);
}

/** Every kind of body that a route takes. */
export const requestTypes: readonly RequestType[] = [...routeOf.keys()];

/**
 * What the policy would be told, or the code of the refusal.
 * @param parse stands in for the guard where a test shows what would pass without it
 * @throws whatever else is thrown: readers may refuse and nothing else
 */
export function readOurs({ type, bytes }: Document, parse = guard): Ours {
  const route = routeOf.get(type);
  if (route === undefined) throw new Error(`No route takes a body of ${type}.`);
  try {
    const asked = readAsked(type, parse(bytes, type));
    const input = buildInput(
      {
        requestId: 'r',
        decisionId: 'd',
        route,
        method: 'POST',
        principal: {
          id: 'p',
          kind: 'jwt',
          roles: [],
          agentRole: undefined,
          permissions: [],
          tenant: undefined,
          claims: {},
        },
        asked,
        clientIp: '127.0.0.1',
        rawHeaders: [],
        nowNs: 0,
        rolePrecedence: [],
      },
      { all: true, members: new Set() },
    );
    return { input, includeUsage: asked.kind === 'prompt' && asked.includeUsage };
  } catch (error) {
    if (error instanceof RequestError) return { refused: error.code };
    throw error;
  }
}

function guard(bytes: Buffer, type: RequestType): Readonly<Record<string, unknown>> {
  return guardJson(bytes, knownMembers[type]).value;
}
