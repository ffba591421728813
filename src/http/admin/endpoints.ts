/** The admin API in one table; docs/admin.md shows it. */
import { RequestError } from '../../errors.ts';
import type { Administration } from './contract.ts';
import type { Members } from './read-members.ts';

export interface Call {
  /** The part of the path that `{name}` stands for; empty where there is none. */
  readonly name: string;
  readonly body: Members;
}

export interface Endpoint {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Leaves a line in the log that says who did it. */
  readonly changes: boolean;
  /** Of the body, or of a GET's query, all of which may be left out; anything else is refused. */
  readonly members: readonly string[];
  run(administration: Administration, call: Call): unknown;
}

function read(path: string, run: Endpoint['run']): Endpoint {
  return { method: 'GET', path, changes: false, members: [], run };
}

function change(path: string, members: Endpoint['members'], run: Endpoint['run']): Endpoint {
  return { method: 'POST', path, changes: true, members, run };
}

export const endpoints: readonly Endpoint[] = [
  read('/v1/status', (administration) => administration.status()),
  read('/v1/identity', (administration) => administration.identity()),
  read('/v1/policies', (administration) => ({ policies: administration.policies() })),
  read('/v1/shadow', (administration) => administration.shadow()),
  read('/v1/policies/{name}/revisions', (administration, { name }) => ({
    policy: name,
    revisions: administration.revisions(name),
  })),
  change('/v1/policies/{name}/reload', [], (administration, { name }) => administration.reload(name)),
  change('/v1/policies/{name}/rollback', ['revision'], (administration, { name, body }) => {
    const { revision } = body;
    if (revision !== undefined && typeof revision !== 'string')
      throw new RequestError('invalid_member', 'The member "revision" must be a string.');
    return administration.rollBack(name, revision);
  }),
  change('/v1/policies/{name}/rollout', ['percent'], (administration, { name, body }) => {
    const { percent } = body;
    if (typeof percent !== 'number' || percent < 0 || percent > 100)
      throw new RequestError('invalid_member', 'The member "percent" must be a number from 0 to 100.');
    return administration.rollOut(name, percent);
  }),
  change('/v1/drain', [], (administration) => administration.drain()),
  {
    method: 'GET',
    path: '/v1/audit',
    changes: false,
    members: ['since', 'until', 'principal', 'model', 'provider', 'result', 'outcome', 'limit'],
    run: (administration, { body }) => administration.audit(body),
  },
  read('/v1/coverage', async (administration) => ({ policies: await administration.coverage() })),
  {
    method: 'POST',
    path: '/v1/explain',
    changes: false,
    members: ['decision_id'],
    run: (administration, { body: { decision_id: decisionId } }) => {
      if (typeof decisionId !== 'string')
        throw new RequestError('invalid_member', 'The member "decision_id" must be a string.');
      return administration.explain(decisionId);
    },
  },
  read('/v1/support', (administration) => administration.support()),
  read('/v1/log-level', (administration) => administration.logLevel()),
  change('/v1/log-level', ['level', 'for'], (administration, { body: { level, for: time } }) => {
    if (typeof level !== 'string') throw new RequestError('invalid_member', 'The member "level" must be a string.');
    if (time !== undefined && typeof time !== 'string')
      throw new RequestError('invalid_member', 'The member "for" must be a string.');
    return administration.setLogLevel(level, time);
  }),
];

/**
 * @param path of the request's target, without its query
 * @throws RequestError `unknown_route`, `method_not_allowed`
 */
export function findEndpoint(method: string, path: string): { readonly endpoint: Endpoint; readonly name: string } {
  const parts = path.split('/');
  const fitting = endpoints.flatMap((endpoint) => {
    const name = matchPath(endpoint.path.split('/'), parts);
    return name === undefined ? [] : [{ endpoint, name }];
  });
  if (fitting.length === 0) throw new RequestError('unknown_route', 'There is no such endpoint; see docs/admin.md.');
  const found = fitting.find(({ endpoint }) => endpoint.method === method);
  if (found !== undefined) return found;
  const allow = fitting.map(({ endpoint }) => endpoint.method).join(', ');
  throw new RequestError('method_not_allowed', undefined, { headers: { allow } });
}

/** @returns what stands for `{name}`, empty where nothing does; undefined where the path is another one */
function matchPath(template: readonly string[], parts: readonly string[]): string | undefined {
  if (template.length !== parts.length) return undefined;
  let name = '';
  for (const [at, part] of template.entries()) {
    const given = parts[at] ?? '';
    // As names of policies are written in the configuration.
    if (part === '{name}' && /^[a-z][a-z0-9_-]{0,31}$/.test(given)) name = given;
    else if (part !== given) return undefined;
  }
  return name;
}
