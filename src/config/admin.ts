import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { AdminToken } from '../configured/config.ts';
import { adminTokenSchema } from './admin-schema.ts';
import type { Environment } from './environment.ts';
import type { Path } from './faults.ts';
import { errorCode } from './keys.ts';
import { isMap, valueAt } from './layers.ts';

export interface AdminSources extends Environment {
  readonly tree: unknown;
  /** The directory that a relative path in this member is relative to. */
  readonly directory: (path: Path) => string;
  readonly report: (path: Path, text: string) => void;
}

/** Of the only token, where there is no list. */
const onlyName = 'admin';
/** Characters; `openssl rand -hex 16` gives 32. Nobody counts the guesses at a port of the loopback. */
const fewest = 24;

/** Reads the tokens that the section `admin` refers to. Only their hashes are kept. */
export function loadAdminTokens(sources: AdminSources): readonly AdminToken[] {
  const section = valueAt(sources.tree, ['admin']);
  if (!isMap(section)) return [];
  const { tokens: list } = section;
  const only = loadToken(section, onlyName, ['admin'], sources);
  if (list === undefined) return only === undefined ? [] : [only];
  for (const member of ['token_env', 'token_file']) {
    if (section[member] !== undefined)
      sources.report(['admin', member], 'stands beside admin.tokens; give it a name and put it there');
  }
  const tokens: AdminToken[] = [];
  for (const [index, entry] of (Array.isArray(list) ? list : []).entries()) {
    const path = ['admin', 'tokens', index];
    // What is wrong otherwise has been said by the check of the section.
    const members = adminTokenSchema.safeParse(entry);
    if (!isMap(entry) || !members.success) continue;
    if (entry['token_env'] === undefined && entry['token_file'] === undefined)
      sources.report(path, 'needs a token: set token_env or token_file');
    const loaded = loadToken(entry, String(entry['name']), path, sources);
    const token = loaded && { ...loaded, scope: members.data.scope };
    if (token === undefined) continue;
    if (tokens.some(({ name }) => name === token.name))
      sources.report([...path, 'name'], 'is the name of another token too');
    if (tokens.some(({ sha256 }) => sha256.equals(token.sha256)))
      sources.report(path, 'is the same token as another one; the log could not tell who acted');
    tokens.push(token);
  }
  return tokens;
}

function loadToken(
  entry: Readonly<Record<string, unknown>>,
  name: string,
  at: Path,
  { env, readFile, directory, report }: AdminSources,
): AdminToken | undefined {
  const variable = entry['token_env'];
  const file = entry['token_file'];
  if (variable !== undefined && file !== undefined) {
    report([...at, 'token_file'], 'one token; remove it or token_env');
    return undefined;
  }
  if (typeof variable === 'string') {
    const text = env[variable];
    if (text !== undefined) return check('token_env', text, variable);
    report([...at, 'token_env'], `the variable ${variable} is not set`);
    return undefined;
  }
  if (typeof file !== 'string') return undefined;
  const path = resolve(directory([...at, 'token_file']), file);
  try {
    const text = Buffer.from(readFile(path)).toString('latin1');
    return check('token_file', text.replace(/\r?\n$/, ''), path);
  } catch (error) {
    report([...at, 'token_file'], `cannot read ${path}${errorCode(error)}`);
    return undefined;
  }

  /** RFC 6750 section 2.1: what stands behind "Bearer". */
  function check(member: 'token_env' | 'token_file', text: string, value: string): AdminToken | undefined {
    if (!/^[A-Za-z0-9._~+/-]+=*$/.test(text) || text.length > 4096) {
      report([...at, member], 'holds no bearer token: letters, digits and ._~+/-=');
      return undefined;
    }
    if (text.length < fewest) {
      const command = 'openssl rand -hex 32';
      report(
        [...at, member],
        `the token has ${text.length} characters; it needs at least ${fewest}. Make one: ${command}`,
      );
      return undefined;
    }
    const sha256 = createHash('sha256').update(text).digest();
    return { name, sha256, scope: 'all', source: { member, value } };
  }
}
