/** What the commands share that ask a running sidecar, by its admin API. */
import type { Command } from 'commander';

import type { Environment } from '../config/environment.ts';
import { addressOf, isLoopback } from '../config/ollama-host.ts';
import { adminTokenVariable, variableOf } from '../config/variables.ts';
import { CallError } from '../errors.ts';
import { formatOption } from './output.ts';

export interface AdminOptions {
  readonly adminUrl?: string;
  readonly tokenEnv: string;
  readonly format: 'pretty' | 'json';
}

export interface AdminAnswer {
  readonly status: number;
  readonly document: unknown;
}

/** A reload compiles and tests. */
const timeoutMs = 180_000;

export const adminNotes = `
The token is that of admin.token_env, admin.token_file or admin.tokens of the sidecar's configuration.

Exit codes: 0; 1 what is told, or what could not be done; 2 a wrong call, no sidecar, no access.`;

export function addAdminOptions(command: Command): Command {
  return command
    .option(
      '--admin-url <url>',
      'where the sidecar serves its admin API (default: OPALLAMA_LISTEN__ADMIN, else http://127.0.0.1:9191)',
    )
    .option('--token-env <name>', 'the variable that holds the admin token', adminTokenVariable)
    .addOption(formatOption('pretty', 'json'));
}

export interface AdminClient {
  get(path: string): Promise<unknown>;
  /** What can't be done in the state that the sidecar is in is answered with status 409. */
  post(path: string, body: Readonly<Record<string, unknown>>): Promise<AdminAnswer>;
  /** @returns the name, or that of the only policy */
  nameOf(policy: string | undefined): Promise<string>;
}

/** @throws CallError, as every call of the client does where it finds no sidecar or no access */
export function createAdminClient({ tokenEnv, ...options }: AdminOptions, { env }: Environment): AdminClient {
  // As the sidecar itself has it, where both are told by the same environment.
  const adminUrl = options.adminUrl ?? `http://${env[variableOf(['listen', 'admin'])] ?? '127.0.0.1:9191'}`;
  const base = URL.parse(adminUrl);
  if (base === null || !/^https?:$/.test(base.protocol))
    throw new CallError(`--admin-url: ${adminUrl} is no URL; write http://127.0.0.1:9191`);
  if (base.protocol === 'http:' && !isLoopback(addressOf(base).host))
    throw new CallError('--admin-url: the token must not cross a network unsecured; forward the port to 127.0.0.1');
  const token = env[tokenEnv];
  if (token === undefined || token === '')
    throw new CallError(`Set ${tokenEnv} to the admin token, or name another variable by --token-env.`);

  async function call(path: string, init: RequestInit): Promise<AdminAnswer> {
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(`${adminUrl.replace(/\/$/, '')}${path}`, {
        ...init,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        // Wherever it leads, the token is not for there.
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
      });
      text = await answer.text();
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      throw new CallError(
        `No sidecar answers at ${adminUrl} (${cause}). It serves the admin API where admin has a token; see docs/admin.md.`,
      );
    }
    const document = parse(text);
    if (answer.ok || answer.status === 409) return { status: answer.status, document };
    throw new CallError(describeError(document) ?? `${adminUrl} answered ${answer.status}; is this an admin listener?`);
  }

  async function get(path: string): Promise<unknown> {
    return (await call(path, {})).document;
  }

  return {
    get,
    post: (path, body) => call(path, { method: 'POST', body: JSON.stringify(body) }),
    async nameOf(policy) {
      if (policy !== undefined) return encodeURIComponent(policy);
      const names = listOf(await get('/v1/policies'), 'policies').map((each) => textOf(each, 'name'));
      const [only, ...others] = names;
      if (only !== undefined && others.length === 0) return only;
      throw new CallError(`Name the policy: ${names.join(', ')}.`);
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The message of an error, with its code. */
export function describeError(document: unknown): string | undefined {
  const error = memberOf(document, 'error');
  return error === undefined ? undefined : `${textOf(error, 'code')}: ${textOf(error, 'message')}`;
}

export function memberOf(document: unknown, name: string): unknown {
  return typeof document === 'object' && document !== null ? Reflect.get(document, name) : undefined;
}

/** Empty where it is not there. */
export function textOf(document: unknown, name: string): string {
  const value = memberOf(document, name);
  return value === undefined || value === null ? '' : String(value);
}

export function listOf(document: unknown, name: string): readonly unknown[] {
  const value = memberOf(document, name);
  return Array.isArray(value) ? value : [];
}
