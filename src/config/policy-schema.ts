/** The section `policy`. */
import { z } from 'zod';
import { engineNames } from '../decision/engines/table.ts';
import { bundle } from './bundle-schema.ts';
import { duration, name, parsed, size } from './fields.ts';
import { opa } from './opa-schema.ts';
import { signature } from './signature-schema.ts';
import { quote, UnitError } from './units.ts';

function parseEntrypoint(value: string | number): string {
  const text = String(value);
  if (/^data[/.]/.test(text) || (text.includes('.') && !text.includes('/'))) {
    const written = text.replace(/^data[/.]/, '').replaceAll('.', '/');
    throw new UnitError(`${quote(value)} is a reference; an entrypoint is written with slashes: ${written}`);
  }
  if (!/^[^\s/]+(\/[^\s/]+)*$/.test(text))
    throw new UnitError(`${quote(value)} is not an entrypoint; write ollama/authz`);
  return text;
}

function parsePolicyPath(value: string | number): string {
  const text = String(value);
  if (text === '') throw new UnitError('must name a directory or a bundle (.tar.gz)');
  if (text.startsWith('bundle:') && !/^bundle:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(text))
    throw new UnitError('names a bundle as bundle:authz: letters, digits and ._-');
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return text;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['https:', 'http:'].includes(url.protocol))
    throw new UnitError('must be a directory, a bundle (.tar.gz), or the https:// URL of a bundle');
  if (url.username !== '' || url.password !== '')
    throw new UnitError('must hold no password; a bearer token goes into policy.bundle.token_file');
  return url.href;
}

const mebibyte = 1024 * 1024;

/** What one policy is told. The options of an engine stand below the engine's name. */
const members = {
  path: parsed(parsePolicyPath, 'a path')
    .prefault('policies/')
    .describe('A directory of Rego and data, a bundle, the URL of a bundle, or bundle:<name> of management.bundles.'),
  engine: z.enum(engineNames).default('wasm').describe('What evaluates the policy.'),
  entrypoint: parsed(parseEntrypoint, 'an entrypoint such as ollama/authz')
    .prefault('ollama/authz')
    .describe('The package or rule that decides, with slashes.'),
  mode: z
    .enum(['auto', 'deny_list'])
    .default('auto')
    .describe('deny_list: nothing that a deny does not hold for is refused, where that cannot be seen in the policy.'),
  deny_list_operations: z
    .array(name())
    .default([])
    .describe('Management operations, and cloud for cloud models, that a deny-list may allow.'),
  isolation: z
    .enum(['auto', 'inline', 'worker'])
    .default('auto')
    .describe('Where the policy is evaluated: in the thread that serves, or in threads of its own.'),
  deadline: duration()
    .prefault('500ms')
    .refine((ms) => ms >= 10 && ms <= 60_000, { error: 'must be from 10ms to 60s' })
    .describe('For one evaluation in a thread of its own.'),
  memory: size()
    .prefault('1GiB')
    .refine((bytes) => bytes >= 16 * mebibyte && bytes <= 4096 * mebibyte, { error: 'must be from 16MiB to 4GiB' })
    .describe('Of the JavaScript heap and of the WebAssembly memory of one thread, each.'),
  state_dir: name()
    .optional()
    .describe(
      'A directory of this sidecar alone, in which the last good policy is kept for a restart without its source.',
    ),
  workers: z.int().min(1).max(16).default(2).describe('Threads of a policy that has threads of its own.'),
  schema: z
    .enum(['strict', 'warn', 'off'])
    .default('warn')
    .describe(
      "What reads members of the input that there are not is: an error, a warning of check, or other systems' own.",
    ),
  keep_revisions: z
    .int()
    .min(1)
    .max(10)
    .default(3)
    .describe('Revisions that stay loaded to go back to, the one that decides among them.'),
  rollout: z
    .strictObject({
      percent: z.number().min(0).max(100).describe('Of the callers, until it is told otherwise.'),
    })
    .optional()
    .describe('A new revision gets a share of the callers at first. Default: all.'),
  bundle: bundle.optional(),
  signature: signature.optional(),
  opa,
};

interface Respelled {
  readonly deny_list_operations: readonly string[];
  readonly keep_revisions: number;
  readonly state_dir?: string | undefined;
}

const toConfig = <Members extends Respelled>({
  deny_list_operations: denyListOperations,
  keep_revisions: keepRevisions,
  state_dir: stateDir,
  ...rest
}: Members) => ({ ...rest, denyListOperations, keepRevisions, stateDir });

const policyName = () =>
  z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, { error: 'must be a name such as tenants: lower case, digits, _ and -' });

const entry = z
  .strictObject({
    name: policyName().describe('Tells it from the others.'),
    ...members,
  })
  .transform(toConfig);

// Of no use to what does not decide.
const { keep_revisions: _keepRevisions, rollout: _rollout, ...shadowMembers } = members;

/** What is asked beside the policy must not hold it up, so it has a thread of its own unless told otherwise. */
const shadow = z
  .strictObject({
    ...shadowMembers,
    name: policyName().default('shadow').describe('Tells it from others, in metrics and lines.'),
    sample: z.number().min(0).max(1).default(1).describe('Part of the requests that it is asked about.'),
    isolation: members.isolation.unwrap().default('worker').describe('As that of policy.'),
    workers: members.workers.unwrap().default(1).describe('As those of policy.'),
  })
  .transform((asked) => toConfig({ ...asked, keep_revisions: 1 }));

export const policy = z
  .strictObject({
    ...members,
    all_of: z
      .array(entry)
      .min(1, { error: 'must name at least one policy' })
      .max(8, { error: 'must name at most 8 policies' })
      .optional()
      .describe('Several policies in the place of one, of which each must allow.'),
    shadow: shadow.optional().describe('A policy that is asked beside those that decide, and never listened to.'),
  })
  .prefault({})
  .transform(({ all_of: allOf, ...rest }) => ({ ...toConfig(rest), allOf }));
