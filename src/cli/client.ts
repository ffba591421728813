import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type Document, isMap, isSeq, parseDocument } from 'yaml';
import { clientIdPattern, readClients } from '../config/clients-file.ts';
import type { Environment } from '../config/environment.ts';
import { errorCode } from '../config/keys.ts';
import { CallError, ConfigError } from '../errors.ts';

export interface ClientDeps {
  readonly environment: Environment;
  /** Standard output: the secret and nothing else, so that it can be put where it belongs. */
  readonly write: (text: string) => void;
}

interface ClientOptions {
  readonly file: string;
  readonly role: readonly string[];
  readonly agentRole?: string;
  readonly permission: readonly string[];
  readonly tenant?: string;
}

/** Adds `opallama client`. Its action throws CallError and ConfigError. */
export function registerClient(program: Command, deps: ClientDeps): void {
  program
    .command('client')
    .description(
      'give a client of the token endpoint a secret: its hash goes into the file, the secret is printed once',
    )
    .argument('<id>', 'the client id')
    .requiredOption(
      '--file <file>',
      'the file that identity.token_endpoint.clients_file names; made if it is not there',
    )
    .option('--role <role>', 'a role; may be repeated', collect, [])
    .option('--agent-role <role>', 'the role that policy decides on, where there are several')
    .option('--permission <permission>', 'a permission, such as web:read; may be repeated', collect, [])
    .option('--tenant <tenant>', 'the tenant')
    .action((id: string, options: ClientOptions) => {
      const path = resolve(deps.environment.cwd, options.file);
      const document = readFile(path, options.file, deps.environment);
      // Nobody chooses a secret: only one of 256 random bits is safe behind a plain hash.
      const secret = `ocs_${randomBytes(32).toString('base64url')}`;
      addSecret(document, id, createHash('sha256').update(secret).digest('hex'), options);
      const text = document.toString({ lineWidth: 0 });
      const read = readClients(text);
      if (!(read instanceof Map)) throw new ConfigError([...read].map((fault) => `${options.file}: ${fault}`));
      replaceFile(path, text);
      deps.write(`${secret}\n`);
    });
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

function readFile(path: string, label: string, { readFile: read }: Environment): Document {
  if (!existsSync(path)) return parseDocument('clients: []\n');
  let text: string;
  try {
    text = Buffer.from(read(path)).toString('utf8');
  } catch (error) {
    throw new ConfigError([`${label}: cannot be read${errorCode(error)}`]);
  }
  const clients = readClients(text);
  // A file that is at fault must not be made worse.
  if (!(clients instanceof Map)) throw new ConfigError([...clients].map((fault) => `${label}: ${fault}`));
  return parseDocument(text);
}

/** A new client, or a second secret for one that is there: both hold until the first is taken out of the file. */
function addSecret(document: Document, id: string, hash: string, options: ClientOptions): void {
  if (!clientIdPattern.test(id)) throw new CallError('The client id must be 1 to 128 letters, digits and ._~@/-.');
  const list = document.get('clients');
  if (!isSeq(list)) throw new CallError('The file has no list of clients.');
  const existing = list.items.find((item) => isMap(item) && item.get('id') === id);
  const described = options.role.length + options.permission.length > 0 || options.tenant !== undefined;
  if (isMap(existing)) {
    if (described || options.agentRole !== undefined)
      throw new CallError(`${id} is in the file: change its roles there; without them it gets a second secret.`);
    const hashes = existing.get('secret_sha256');
    if (!isSeq(hashes) || hashes.items.length > 1)
      throw new CallError(`${id} has two secrets. Take the one that is no longer used out of the file first.`);
    hashes.add(hash);
    return;
  }
  if (options.role.length === 0) throw new CallError('A new client needs a role: --role <role>.');
  list.flow = false;
  list.add(
    document.createNode({
      id,
      secret_sha256: [hash],
      roles: options.role,
      ...(options.agentRole !== undefined && { agent_role: options.agentRole }),
      ...(options.permission.length > 0 && { permissions: options.permission }),
      ...(options.tenant !== undefined && { tenant: options.tenant }),
    }),
  );
}

/** Whole or not at all, and for nobody else to read. */
function replaceFile(path: string, text: string): void {
  const beside = `${path}.${process.pid}.new`;
  try {
    writeFileSync(beside, text, { mode: 0o600, flag: 'wx' });
    chmodSync(beside, 0o600);
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw new ConfigError([`${path}: cannot be written${errorCode(error)}`]);
  }
}
