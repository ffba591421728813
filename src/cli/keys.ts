import { resolve } from 'node:path';

import { type Command, InvalidArgumentError } from 'commander';

import { loadConfig } from '../config/load.ts';
import { CallError } from '../errors.ts';
import { apiKeyStart, createApiKey } from '../identity/api-key.ts';
import type { ApiKeyEntry } from '../identity/api-key-file.ts';
import type { CliDeps } from './config-options.ts';
import { addKey, markRevoked, readKeyFile } from './key-file.ts';
import { count, formatOption, paint, printable, table, toJson } from './output.ts';

interface FileOptions {
  readonly config?: string;
  readonly file?: string;
}

interface CreateOptions extends FileOptions {
  readonly principal: string;
  readonly role: readonly string[];
  readonly agentRole?: string;
  readonly permission: readonly string[];
  readonly tenant?: string;
  /** ms from now; undefined for never */
  readonly expires: number | 'never';
  readonly note?: string;
}

const day = 86_400_000;

/** `opallama keys`: API keys of callers. The key is printed once; the file has its hash. */
export function registerKeys(program: Command, deps: CliDeps): void {
  const keys = program
    .command('keys')
    .description('create, list and revoke API keys; a running sidecar takes the changed file within seconds');
  const add = (name: string): Command =>
    keys
      .command(name)
      .option('--config <file>', 'the configuration whose identity.api_keys.file is meant (default: opallama.yaml)')
      .option('--file <file>', 'the file of keys, without a configuration');

  add('create')
    .description('print a new key, this once, and write its hash into the file')
    .requiredOption('--principal <id>', 'whose key it is')
    .option('--role <role>', 'a role, at least one; may be repeated', collect, [])
    .option('--agent-role <role>', 'the role that the caller acts in, where there are several')
    .option('--permission <permission>', 'a permission; may be repeated', collect, [])
    .option('--tenant <tenant>', 'the tenant')
    .option('--expires <time>', 'after so many hours or days, as in 12h or 90d, or never', parseLifetime, 90 * day)
    .option('--note <text>', 'what it is for')
    .action((options: CreateOptions) => {
      if (options.role.length === 0) throw new CallError('Give the key at least one role: --role developer.');
      const { id, key, hash } = createApiKey();
      const now = Date.now();
      addKey(fileOf(options, deps), {
        id,
        hash,
        principal: options.principal,
        roles: options.role,
        ...(options.agentRole !== undefined && { agent_role: options.agentRole }),
        ...(options.permission.length > 0 && { permissions: options.permission }),
        ...(options.tenant !== undefined && { tenant: options.tenant }),
        ...(options.note !== undefined && { note: options.note }),
        created_at: new Date(now).toISOString(),
        ...(options.expires !== 'never' && { expires_at: new Date(now + options.expires).toISOString() }),
      });
      // Standard output has the key and nothing else, so that it can be put into a variable.
      deps.write(`${key}\n`);
    });

  add('list')
    .description('which keys there are, by the part of them that is no secret')
    .addOption(formatOption('text', 'json'))
    .action((options: FileOptions & { readonly format: string }) => {
      const path = fileOf(options, deps);
      const entries = readKeyFile(path);
      deps.write(options.format === 'json' ? toJson(entries.map(describe)) : listText(entries, path));
    });

  add('revoke <key>')
    .description('have a key count no longer, by its id or the beginning of the key: opl_...')
    .action((key: string, options: FileOptions) => {
      const id = /^(?:opl_)?([a-z2-7]{12})(?:_.*)?$/.exec(key)?.[1];
      if (id === undefined) throw new CallError(`Give the key by its id, as "opallama keys list" shows it: opl_...`);
      const path = fileOf(options, deps);
      markRevoked(path, id, new Date());
      deps.write(`${paint('green', 'revoked')} ${apiKeyStart}${id}\n`);
    });
}

/** @throws CallError, ConfigError */
function fileOf({ config, file }: FileOptions, { environment }: CliDeps): string {
  if (file !== undefined) return resolve(environment.cwd, file);
  const { apiKeysFile } = loadConfig({ ...environment, file: config, flags: [] }).identity;
  if (apiKeysFile !== undefined) return apiKeysFile;
  throw new CallError('The configuration has no identity.api_keys.file; name the file by --file.');
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

function parseLifetime(text: string): number | 'never' {
  if (text === 'never') return text;
  const [, digits, unit] = /^([1-9]\d{0,4})(h|d)$/.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('Write hours or days, as in 12h or 90d, or never.');
  return Number(digits) * (unit === 'h' ? 3_600_000 : day);
}

function stateOf({ revoked_at: revoked, expires_at: expires }: ApiKeyEntry, now: number): string {
  if (revoked !== undefined && now >= revoked) return 'revoked';
  return expires !== undefined && now >= expires ? 'expired' : 'active';
}

/** For machines; never the hash, which is nobody's business. */
function describe(entry: ApiKeyEntry): Readonly<Record<string, unknown>> {
  const time = (ms: number | undefined): string | undefined =>
    ms === undefined ? undefined : new Date(ms).toISOString();
  return {
    id: entry.id,
    prefix: `${apiKeyStart}${entry.id}`,
    state: stateOf(entry, Date.now()),
    principal: entry.principal,
    roles: entry.roles,
    agent_role: entry.agent_role,
    permissions: entry.permissions,
    tenant: entry.tenant,
    note: entry.note,
    created_at: time(entry.created_at),
    expires_at: time(entry.expires_at),
    revoked_at: time(entry.revoked_at),
  };
}

function listText(entries: readonly ApiKeyEntry[], path: string): string {
  if (entries.length === 0) return `No keys in ${path}.\n`;
  const now = Date.now();
  const date = (ms: number | undefined): string =>
    ms === undefined ? 'never' : new Date(ms).toISOString().slice(0, 10);
  const rows = entries.map((entry) =>
    [
      `${apiKeyStart}${entry.id}`,
      stateOf(entry, now),
      date(entry.expires_at),
      entry.principal,
      entry.roles.join(','),
      entry.tenant ?? '',
      entry.note ?? '',
    ].map(printable),
  );
  return `${table([['KEY', 'STATE', 'EXPIRES', 'PRINCIPAL', 'ROLES', 'TENANT', 'NOTE'], ...rows])}${count(entries.length, 'key')}\n`;
}
