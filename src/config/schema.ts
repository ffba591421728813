/**
 * The members of the configuration, their defaults and what each takes. Spelled as in YAML; each section's transform
 * gives the spelling and the units of `Config`. `policies/schemas/config.json` is made from here.
 */
import { z } from 'zod';
import { isHostName, parseAddress, parseBaseUrl, parseDuration, parseSize, quote, UnitError } from './units.ts';

/** Text or a number, read by one of the functions of `units.ts`. */
function parsed<T>(parse: (value: string | number) => T, expected: string) {
  return z.union([z.string(), z.number()], { error: `must be ${expected}` }).transform((value, context) => {
    try {
      return parse(value);
    } catch (error) {
      if (!(error instanceof UnitError)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });
}

const duration = () => parsed(parseDuration, 'a duration such as 500ms, 2s, 5m or 1h; 0s means none');
const size = () => parsed(parseSize, 'a size such as 32MiB or 16KiB');
const address = () => parsed(parseAddress, 'an address such as 127.0.0.1:8080 or :8080');
const name = () => z.string().min(1);

/** JavaScript can't hold a string of more than 512 MiB, and a body is one for a moment. */
const largestBody = 512 * 1024 * 1024 - 1024;

const listen = z
  .strictObject({
    data: address().prefault('0.0.0.0:8080').describe('Where the proxied APIs are served.'),
    ops: address().prefault('0.0.0.0:9464').describe('Where /metrics, /healthz and /readyz are served.'),
    hosts: z
      .array(
        z.string().refine(isHostName, { error: 'must be a host name or an address, without a port' }).toLowerCase(),
      )
      .default([])
      .describe('Names allowed in Host, beside addresses and localhost, where anonymous callers are.'),
  })
  .prefault({});

const upstream = z
  .strictObject({
    base_url: parsed((value) => parseBaseUrl(String(value)), 'a URL such as http://127.0.0.1:11434')
      .optional()
      .describe('Where Ollama answers. Default: OLLAMA_BASE_URL, else OLLAMA_HOST, else http://127.0.0.1:11434.'),
  })
  .prefault({})
  .transform((value) => ({ baseUrl: value.base_url }));

/** The same plain form that the path of a request must have. */
function parsePrefix(value: string | number): string {
  const text = String(value).replace(/(?<=.)\/$/, '');
  const segments = text.split('/').slice(1);
  if (!text.startsWith('/') || text === '/') throw new UnitError(`${quote(value)} must begin with "/" and name a path`);
  if (!segments.every((segment) => /^[A-Za-z0-9._~-]+$/.test(segment) && !/^\.\.?$/.test(segment))) {
    throw new UnitError(`${quote(value)} must be plain: letters, digits and ._~- between slashes`);
  }
  return text;
}

const prefixes = z
  .array(parsed(parsePrefix, 'a path such as /ollama'))
  .max(32)
  .prefault(['/api/v1/ollama', '/ollama'])
  .describe('Path prefixes under which the routes are served too, beside the root.');

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
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text))
    throw new UnitError('must be a path on this machine: a directory or a bundle (.tar.gz)');
  return text;
}

const policy = z
  .strictObject({
    path: parsed(parsePolicyPath, 'a path')
      .prefault('policies/')
      .describe('A directory of Rego and data, or a bundle.'),
    engine: z.enum(['wasm']).default('wasm'),
    entrypoint: parsed(parseEntrypoint, 'an entrypoint such as ollama/authz')
      .prefault('ollama/authz')
      .describe('The package or rule that decides, with slashes.'),
    mode: z
      .enum(['auto', 'deny_list'])
      .default('auto')
      .describe(
        'deny_list: nothing that a deny does not hold for is refused, where that cannot be seen in the policy.',
      ),
    deny_list_operations: z
      .array(name())
      .default([])
      .describe('Management operations, and cloud for cloud models, that a deny-list may allow.'),
  })
  .prefault({})
  .transform(({ deny_list_operations: denyListOperations, ...rest }) => ({ ...rest, denyListOperations }));

/** Algorithms of RFC 7518 section 3.1 that prove a caller; `none` is none. */
const algorithm = z.enum([
  'HS256',
  'HS384',
  'HS512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
]);

const keyMembers = {
  algorithm: algorithm.describe('The one algorithm that tokens of this key may be signed with.'),
  secret_env: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'must be the name of an environment variable' })
    .optional()
    .describe('For HS: the environment variable that holds the secret.'),
  secret_file: name()
    .optional()
    .describe('For HS: the file that holds the secret; one line feed at its end is dropped.'),
  public_key_file: name().optional().describe('For RS, PS and ES: a public key or certificate in PEM.'),
};

/** What of an entry of `identity.jwt` its key is made from; read alone, so a fault elsewhere hides no fault of the key. */
export const jwtKeySchema = z.object(keyMembers);
export type JwtKeyMembers = z.output<typeof jwtKeySchema>;

/** Names that every object inherits are refused: packages that handle tokens look members up without asking whose. */
function parseClaimPath(value: string | number): string {
  const names = String(value).split('.');
  if (names.some((part) => part === ''))
    throw new UnitError(`${quote(value)} is not a path; write names with dots between`);
  const inherited = names.find((part) => part in Object.prototype);
  if (inherited !== undefined) throw new UnitError(`${quote(inherited)} cannot be the name of a claim`);
  // Split at its dots, such a name would never be found, and every caller would come without roles.
  if (/:\/\//.test(String(value)))
    throw new UnitError('a claim whose own name has dots cannot be named; use another claim');
  return String(value);
}

const claimPath = () => parsed(parseClaimPath, 'a path of claims such as realm_access.roles');

const jwt = z
  .strictObject({
    ...keyMembers,
    kid: name().optional().describe('Only tokens with this kid are for this key.'),
    issuer: name().describe('The only accepted value of iss.'),
    audience: name().describe('Must be among the values of aud.'),
    claims: z
      .strictObject({
        id: claimPath().exactOptional(),
        roles: claimPath().exactOptional(),
        agent_role: claimPath().exactOptional(),
        permissions: claimPath().exactOptional(),
        tenant: claimPath().exactOptional(),
      })
      .default({})
      .describe('Paths of claims, dots between names.'),
    clock_tolerance: duration().prefault('0s').describe('Allowed difference of clocks, at most 5m.'),
  })
  .refine((entry) => entry.clock_tolerance <= 300_000, { path: ['clock_tolerance'], error: 'must be at most 5m' });

export type JwtMembers = z.output<typeof jwt>;

const identity = z
  .strictObject({
    jwt: z.array(jwt).max(64).default([]),
    anonymous: z
      .strictObject({ roles: z.array(name()).min(1) })
      .optional()
      .describe('The roles of callers without a credential; absent: nobody unknown enters.'),
    accept_unknown_credentials: z
      .boolean()
      .default(false)
      .describe('Treat a credential that is there and wrong as none, for SDKs that must send some key.'),
    role_precedence: z
      .array(name())
      .default([])
      .describe('Of several roles the first in this list is the agent role, where the token names none.'),
  })
  .prefault({})
  .refine((value) => !value.accept_unknown_credentials || value.anonymous !== undefined, {
    path: ['accept_unknown_credentials'],
    error: 'needs identity.anonymous, whose roles such a caller gets',
  })
  .transform((value) => ({
    jwt: value.jwt,
    anonymous: value.anonymous,
    acceptUnknownCredentials: value.accept_unknown_credentials,
    rolePrecedence: value.role_precedence,
  }));

const timeouts = z
  .strictObject({
    connect: duration().prefault('2s').describe('Until the upstream takes the connection.'),
    first_byte: duration().prefault('300s').describe("Until the answer's first byte; a model may have to be loaded."),
    idle: duration().prefault('60s').describe('Between two parts of an answer.'),
    total: duration().prefault('0s').describe('For the whole request; 0s means none.'),
    headers: duration().prefault('10s').describe("Until the request's headers are there."),
    body: duration().prefault('60s').describe("Until the request's body is there."),
  })
  .prefault({})
  .transform(({ first_byte: firstByte, ...rest }) => ({ ...rest, firstByte }));

const limits = z
  .strictObject({
    body: size().prefault('32MiB').describe('Of one request.'),
    bodies_total: size().prefault('256MiB').describe('Of all requests held at once.'),
    headers: size().prefault('16KiB').describe('Of one request.'),
    in_flight: z.int().min(1).max(1_000_000).default(4096).describe('Requests at once.'),
  })
  .prefault({})
  .refine((value) => value.body <= largestBody, { path: ['body'], error: 'must be less than 512MiB' })
  .refine((value) => value.body <= value.bodies_total, {
    path: ['bodies_total'],
    error: 'must be at least limits.body',
  })
  .transform((value) => ({
    body: value.body,
    bodiesTotal: value.bodies_total,
    headers: value.headers,
    inFlight: value.in_flight,
  }));

const audit = z
  .strictObject({ stdout: z.boolean().default(true).describe('One line a request on standard output.') })
  .prefault({});

const log = z
  .strictObject({ level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info') })
  .prefault({});

export const configSchema = z.strictObject({
  listen,
  upstream,
  prefixes,
  policy,
  identity,
  timeouts,
  limits,
  audit,
  log,
});

/** The schema as JSON Schema, for editors and for finding a member by its path. */
export const configJsonSchema = z.toJSONSchema(configSchema, { io: 'input' });
