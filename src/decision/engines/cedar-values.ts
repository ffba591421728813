/** JSON of the input as values of Cedar, which has no null, no fractions but decimals, and meanings for some keys. */
import { isIP } from 'node:net';

import type { PolicyInput } from '../../types.ts';
import type { CedarValueJson } from './cedar-module.ts';

/** The largest numbers that JSON writes within 64 bits with a sign. */
const mostLong = 2 ** 63 - 1024;
/** Cedar's decimals have four digits behind the point and 64 bits in all. */
const mostDecimal = 922_337_203_685_477;

/** Options of Ollama that are fractions: decimals always, so that one policy can compare 1 and 0.7. */
const fractions: ReadonlySet<string> = new Set([
  'temperature',
  'top_p',
  'min_p',
  'typical_p',
  'tfs_z',
  'repeat_penalty',
  'presence_penalty',
  'frequency_penalty',
  'mirostat_tau',
  'mirostat_eta',
]);

/** Keys by which Cedar's JSON names entities and calls functions: a caller could make a text an entity with them. */
const reserved: ReadonlySet<string> = new Set(['__entity', '__extn', '__expr']);

type MemberOf = { readonly [Member in Exclude<keyof PolicyInput, 'principal'>]: true };

/** What `context` has: every member of the input that is not principal, with `now` beside `now_ns`. */
const members: MemberOf = {
  version: true,
  phase: true,
  request_id: true,
  decision_id: true,
  api: true,
  operation: true,
  method: true,
  path: true,
  agent_role: true,
  model: true,
  model_ref: true,
  model_refs: true,
  stream: true,
  has_tools: true,
  tools: true,
  server_tools: true,
  has_system_prompt: true,
  has_template: true,
  raw: true,
  has_context: true,
  debug: true,
  message_count: true,
  has_images: true,
  image_count: true,
  prompt_bytes: true,
  estimated_tokens: true,
  options: true,
  keep_alive: true,
  format: true,
  max_tokens: true,
  client: true,
  now_ns: true,
  metadata: true,
  messages: true,
  prompt: true,
  system: true,
  suffix: true,
  template: true,
  mcp_server: true,
  tool_name: true,
  action: true,
  resource: true,
  llm_action: true,
};

/** The members of the input, in the order of its schema. */
export const contextMembers: readonly string[] = [...Object.keys(members), 'now'];

/** The member of the input that an attribute of `context` is made of. */
export function inputMemberOf(attribute: string): string {
  return attribute === 'now' ? 'now_ns' : attribute;
}

/** @param attributes of `context` that policies read */
export function contextOf(input: PolicyInput, attributes: readonly string[]): Record<string, CedarValueJson> {
  const context: Record<string, CedarValueJson> = {};
  for (const attribute of attributes) {
    const value = attributeOf(input, attribute);
    if (value !== undefined) context[attribute] = value;
  }
  return context;
}

function attributeOf(input: PolicyInput, attribute: string): CedarValueJson | undefined {
  switch (attribute) {
    case 'now':
      return extension('datetime', new Date(Math.floor(input.now_ns / 1e6)).toISOString());
    case 'client': {
      const { ip, ...rest } = input.client;
      const address = addressOf(ip);
      return { ...toRecord(rest), ...(address !== undefined && { ip: extension('ip', address) }) };
    }
    case 'options':
      return input.options && toRecord(input.options, fractions);
    default:
      return toValue(Reflect.get(input, attribute));
  }
}

/** @returns undefined for what Cedar has no value for: it is left out */
export function toValue(value: unknown): CedarValueJson | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isInteger(value) ? clamp(value, mostLong) : decimal(value);
    case 'object':
      if (value === null) return undefined;
      if (isRawNumber(value)) return toLong(value);
      return Array.isArray(value) ? value.flatMap((element) => toValue(element) ?? []) : toRecord(value);
    default:
      return undefined;
  }
}

export function toRecord(value: object, decimals?: ReadonlySet<string>): Record<string, CedarValueJson> {
  const entries = Object.entries(value).flatMap(([key, child]: [string, unknown]) => {
    if (reserved.has(key)) return [];
    const converted = decimals?.has(key) === true && typeof child === 'number' ? decimal(child) : toValue(child);
    return converted === undefined ? [] : [[key, converted] as const];
  });
  return Object.fromEntries(entries);
}

/** A number that keeps more digits than JavaScript has (exact-json.ts): for TypeScript an object without members. */
function isRawNumber(value: object): value is Record<string, never> {
  return JSON.isRawJSON(value);
}

/** All digits reach Cedar, where it has room for them. */
function toLong(raw: Record<string, never>): CedarValueJson {
  const text = JSON.stringify(raw);
  if (!/^-?\d+$/.test(text)) return clamp(Number(text), mostLong);
  const digits = BigInt(text);
  return BigInt.asIntN(64, digits) === digits ? raw : clamp(Number(text), mostLong);
}

/** Rounded to four digits, and held within what Cedar has, so that comparisons stay what they are. */
function decimal(value: number): CedarValueJson {
  return extension('decimal', clamp(value, mostDecimal).toFixed(4));
}

function clamp(value: number, most: number): number {
  return Math.min(Math.max(value, -most), most);
}

function extension(fn: string, arg: string): CedarValueJson {
  return { __extn: { fn, arg } };
}

/** As Cedar reads addresses: no zone, and an IPv4 address that came over an IPv6 socket as itself. */
function addressOf(ip: string): string | undefined {
  const plain = ip.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  return isIP(plain) === 0 ? undefined : plain;
}
