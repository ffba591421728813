/** What `eval` and `explain` are asked about: an input document, or a request as curl would send it and who sends it. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { type Command, InvalidArgumentError } from 'commander';

import type { Environment } from '../config/environment.ts';
import type { Config } from '../configured/config.ts';
import { CallError, ConfigError } from '../errors.ts';
import type { RawRequest } from '../rehearsal.ts';
import type { PolicyInput, Principal } from '../types.ts';
import { readConfig } from './config-options.ts';
import { buildCurlRequest, type CurlData, type CurlWords, type ReadBytes, readCurlWords } from './curl.ts';
import { readInputs } from './inputs.ts';

export interface QuestionOptions {
  readonly config?: string;
  readonly policy?: string;
  readonly entrypoint?: string;
  readonly input?: string;
  readonly request?: string;
  readonly header?: readonly string[];
  readonly data?: readonly CurlData[];
  readonly as?: readonly string[];
  readonly principal?: string;
  readonly clientIp: string;
  readonly now?: number;
}

export interface Question {
  readonly config: Config;
  readonly about: { readonly request: RawRequest } | { readonly input: PolicyInput };
  /** Whom the call names in the place of a credential. */
  readonly principal: Principal | undefined;
  readonly clientIp: string;
  /** Unix time in ns; undefined: now. */
  readonly nowNs: number | undefined;
}

export const questionExamples = (command: string): string => `
Examples:
  opallama ${command} --as guest /api/chat -d '{"model":"llama3.2","messages":[]}'
  opallama ${command} -X POST /api/chat -H "Authorization: Bearer $TOKEN" -d @body.json
  opallama ${command} --as analyst -- curl http://127.0.0.1:8080/v1/models -H 'Accept: application/json'
  opallama ${command} --principal '{"id":"ann","roles":["analyst"],"tenant":"blue"}' /api/tags
  opallama ${command} --input input.json --policy policies/`;

export function addQuestionOptions(command: Command): Command {
  // Kinds of data may be mixed and keep their order.
  const data: CurlData[] = [];
  const collectData = (kind: CurlData['kind']) => (value: string) => {
    data.push({ kind, value });
    return data;
  };
  return command
    .argument('[target...]', 'path or URL that is asked for; behind "--" a whole curl command')
    .option('-c, --config <file>', 'configuration file (default: opallama.yaml, if it is there)')
    .option('--policy <path>', 'policy.path: directory of Rego and data, or a bundle')
    .option('--entrypoint <path>', 'policy.entrypoint: package or rule that decides, as in ollama/authz')
    .option(
      '--input <file>',
      'an input document, or a line of the audit log, in place of a request; "-" is standard input',
    )
    .option('-X, --request <method>', 'as curl has it; POST where there is data, else GET')
    .option('-H, --header <line>', 'as curl has it; may be repeated', collect)
    .option('-d, --data <data>', 'as curl has it, @file too; may be repeated', collectData('text'))
    .option('--data-raw <data>', 'as curl has it', collectData('raw'))
    .option('--data-binary <data>', 'as curl has it', collectData('binary'))
    .option('--json <data>', 'as curl has it', collectData('json'))
    .option('--as <role>', 'a caller with this role, in place of a credential; may be repeated', collect)
    .option(
      '--principal <json>',
      'a caller, in place of a credential: id, roles, agent_role, permissions, tenant, claims',
    )
    .option('--client-ip <address>', 'where the caller calls from', '127.0.0.1')
    .option('--now <time>', 'the time of the decision, as in 2026-01-31T22:00:00Z', readTime);
}

/** @throws CallError, ConfigError */
export function readQuestion(words: readonly string[], options: QuestionOptions, environment: Environment): Question {
  const read: ReadBytes = (path) => readBytes(path, environment);
  const principal = readPrincipal(options, environment);
  const asksRequest = words.length > 0 || (options.data ?? []).length > 0;
  const { clientIp, now } = options;
  if (options.input === undefined) {
    if (!asksRequest) throw new CallError('Give --input <file>, or a request as curl would send it. See --help.');
    const request = buildCurlRequest(joinWords(words, options), read);
    const config = readQuestionConfig(options, environment, principal !== undefined);
    return { config, about: { request }, principal, clientIp, nowNs: now };
  }
  if (asksRequest) throw new CallError('Give either --input or a request, not both.');
  if (principal !== undefined)
    throw new CallError('--input says who calls in "principal"; --as and --principal belong to a request.');
  const [one, second] = readInputs(options.input, Buffer.from(read(options.input)).toString('utf8'));
  if (one === undefined) throw new CallError(`${options.input} holds no input document.`);
  if (second !== undefined) throw new CallError(`${options.input} holds several inputs; "opallama diff" takes those.`);
  const config = readQuestionConfig(options, environment, true);
  return { config, about: { input: one.input }, principal, clientIp, nowNs: now };
}

function joinWords(words: readonly string[], options: QuestionOptions): CurlWords {
  const flags: CurlWords = {
    target: undefined,
    method: options.request,
    headers: options.header ?? [],
    data: options.data ?? [],
  };
  const pasted = readCurlWords(words[0] === 'curl' ? words.slice(1) : words);
  return {
    target: pasted.target,
    method: flags.method ?? pasted.method,
    headers: [...pasted.headers, ...flags.headers],
    data: [...pasted.data, ...flags.data],
  };
}

/** @throws CallError with the file's name */
export function readBytes(path: string, { cwd, readFile }: Environment): Uint8Array {
  try {
    return path === '-' ? readFileSync(0) : readFile(resolve(cwd, path));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw new CallError(`${path === '-' ? 'Standard input' : path} can't be read${code}.`);
  }
}

/** Not OPALLAMA_...: variables of that name set members of the configuration. */
const secretName = 'OFFLINE_JWT_SECRET';

/**
 * @param known who calls is known without the keys of the configuration, so that it needs none: one that nobody has stands
 *   in their place
 */
function readQuestionConfig(options: QuestionOptions, environment: Environment, known: boolean): Config {
  if (known) return readOfflineConfig(options, environment);
  try {
    return readConfig(options, environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError([...error.faults, 'to ask without keys, say who calls: --as <role> or --principal <json>']);
  }
}

/** The configuration of a command that lets nobody in, and so needs no key that lets somebody in. @throws ConfigError */
export function readOfflineConfig(
  options: Pick<QuestionOptions, 'config' | 'policy' | 'entrypoint'>,
  environment: Environment,
): Config {
  const env = { ...environment.env, [secretName]: randomBytes(32).toString('base64url') };
  const jwt = [{ algorithm: 'HS256', secret_env: secretName, issuer: 'nobody', audience: 'opallama' }];
  return readConfig(options, { ...environment, env }, [{ name: 'offline', path: 'identity.jwt', value: jwt }]);
}

function readPrincipal(options: QuestionOptions, environment: Environment): Principal | undefined {
  if (options.principal === undefined) {
    if (options.as === undefined) return undefined;
    return { ...nobody, id: 'someone', roles: options.as };
  }
  if (options.as !== undefined) throw new CallError('Give either --as or --principal.');
  const text = options.principal.startsWith('@')
    ? Buffer.from(readBytes(options.principal.slice(1), environment)).toString('utf8')
    : options.principal;
  const given = parseObject(text, '--principal');
  const unknown = Object.keys(given).find((name) => !principalMembers.has(name));
  if (unknown !== undefined)
    throw new CallError(`--principal: ${unknown} is none of ${[...principalMembers].join(', ')}.`);
  return {
    id: readText(given, 'id') ?? 'someone',
    kind: readKind(given),
    roles: readTexts(given, 'roles'),
    agentRole: readText(given, 'agent_role'),
    permissions: readTexts(given, 'permissions'),
    tenant: readText(given, 'tenant'),
    claims: given['claims'] === undefined ? {} : readObject(given['claims'], '--principal: claims'),
  };
}

const nobody: Principal = {
  id: '',
  kind: 'jwt',
  roles: [],
  agentRole: undefined,
  permissions: [],
  tenant: undefined,
  claims: {},
};
const principalMembers = new Set(['id', 'kind', 'roles', 'agent_role', 'permissions', 'tenant', 'claims']);
/** All of them: one that is added does not compile until it is here. */
const kinds: Readonly<Record<Principal['kind'], true>> = {
  jwt: true,
  api_key: true,
  kubernetes: true,
  ollama_key: true,
  client_certificate: true,
  anonymous: true,
};

type Members = Readonly<Record<string, unknown>>;

function readKind(given: Members): Principal['kind'] {
  const kind = readText(given, 'kind') ?? 'jwt';
  if (!isKind(kind)) throw new CallError(`--principal: kind must be one of ${Object.keys(kinds).join(', ')}.`);
  return kind;
}

function isKind(kind: string): kind is Principal['kind'] {
  return Object.hasOwn(kinds, kind);
}

function readText(given: Members, name: string): string | undefined {
  const value = given[name];
  if (value === undefined || typeof value === 'string') return value;
  throw new CallError(`--principal: ${name} must be a string.`);
}

function readTexts(given: Members, name: string): readonly string[] {
  const value = given[name] ?? [];
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
  throw new CallError(`--principal: ${name} must be a list of strings.`);
}

function parseObject(text: string, what: string): Members {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CallError(`${what} is not JSON: ${error instanceof Error ? error.message : ''}`);
  }
  return readObject(value, what);
}

function readObject(value: unknown, what: string): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CallError(`${what} must be a JSON object.`);
  return Object.fromEntries(Object.entries(value));
}

function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/** @returns Unix time in ns */
function readTime(text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('Write a time as in 2026-01-31T22:00:00Z.');
  return ms * 1e6;
}
