/**
 * A remote OPA, asked for each decision by its REST API (docs: REST API, "Get a document with input"). Nothing is allowed
 * that it did not allow just now: no answer, a late one and one that is not understood deny.
 */
import { OpaApiClientCore } from '@open-policy-agent/opa/core.js';
import { executePolicyWithInput } from '@open-policy-agent/opa/funcs/executePolicyWithInput.js';
import { HTTPClient } from '@open-policy-agent/opa/lib/http.js';
import { ClientError, ServerError } from '@open-policy-agent/opa/sdk/models/errors';
import type { OpaConfig } from '../../configured/policy.ts';
import { EvaluationError, PolicyError } from '../../errors.ts';
import { parseExactJson } from '../../exact-json.ts';
import type { DecisionEngine, InputNeeds, LoadedPolicy, PolicyInput, PolicySet } from '../../types.ts';
import { createCircuit } from './circuit.ts';
import { createOpaConnection, type OpaAnswer, type OpaConnection } from './opa-connection.ts';

/** A probe is patient: OPA answers it while it is busy with decisions. */
const probeTimeoutMs = 1000;
/** Labels of metrics and the record hold it. */
const longestRevision = 128;

export function createOpaEngine(config: OpaConfig | undefined): DecisionEngine {
  return {
    name: 'opa',
    needs: 'none',
    load(policy) {
      if (config === undefined) throw new PolicyError('The engine opa needs policy.opa.url.');
      return load(config, policy);
    },
  };
}

/** An OPA that is not there fails no start: everything is denied, and it is asked until it answers. */
async function load(config: OpaConfig, policy: PolicySet): Promise<LoadedPolicy> {
  for (const entrypoint of policy.entrypoints) checkEntrypoint(entrypoint);
  const connection = createOpaConnection(config);
  const circuit = createCircuit({
    failures: config.circuitBreaker.failures,
    resetMs: config.circuitBreaker.reset,
    probe: () => probe(config, connection),
  });
  const client = createClient(config, connection);
  // Until it says otherwise; most say nothing.
  let revision = 'unknown';
  await circuit.start();

  return {
    get revision() {
      return revision;
    },
    entrypoints: policy.entrypoints,
    reads: readsOf(config),
    codes: policy.codes,
    deterministic: false,
    shape: () => 'unknown',
    notReady: () => circuit.broken(),
    async evaluate(entrypoint, input) {
      const broken = circuit.broken();
      if (broken !== undefined) throw unavailable(broken);
      const started = performance.now();
      try {
        const { results, revision: answered } = await ask(client, entrypoint, input);
        // A busy event loop may have kept the answer waiting for longer than its timer.
        if (performance.now() - started > config.timeout) throw new EvaluationError('policy_deadline');
        circuit.succeeded();
        revision = answered ?? revision;
        return results;
      } catch (error) {
        if (error instanceof EvaluationError) circuit.failed(error.message);
        throw error;
      }
    },
    async close() {
      circuit.close();
      connection.close();
    },
  };
}

/** What a remote policy reads can't be seen. */
function readsOf({ reads }: OpaConfig): InputNeeds {
  return { all: reads === undefined, members: new Set(reads) };
}

/**
 * The SDK writes the path decoded: these would name another document, or none.
 *
 * @throws PolicyError
 */
function checkEntrypoint(entrypoint: string): void {
  const segments = entrypoint.split('/');
  if (
    !segments.some((segment) => segment === '' || segment === '.' || segment === '..' || /[%\\\p{Cc}]/u.test(segment))
  )
    return;
  throw new PolicyError(
    `The entrypoint ${JSON.stringify(entrypoint)} can't be written in a URL. Use letters, digits, "_", "-" and "." in the names of packages.`,
  );
}

interface Answered {
  readonly results: readonly unknown[];
  /** Of its bundles; undefined where it names none. */
  readonly revision: string | undefined;
}

/** @throws EvaluationError where OPA gave no decision; Error where its policy failed. */
async function ask(client: OpaApiClientCore, path: string, input: PolicyInput): Promise<Answered> {
  const answer = await executePolicyWithInput(client, { path, provenance: true, requestBody: { input: { ...input } } });
  if (!answer.ok) throw toFailure(answer.error);
  const { successfulPolicyResponse, httpMeta } = answer.value;
  const { response } = httpMeta;
  if (successfulPolicyResponse === undefined || !(response instanceof DecisionAnswer)) {
    throw unavailable(noAnswer);
  }
  const { result } = successfulPolicyResponse;
  if (response.isNull) return { results: [null], revision: response.revision };
  // OPA leaves the member out where the document is undefined.
  return { results: result === undefined ? [] : [result], revision: response.revision };
}

/** The SDK wraps what our own fetcher throws, some of it twice. */
function toFailure(error: unknown): unknown {
  for (let inner: unknown = error; inner instanceof Error; inner = inner.cause) {
    if (inner instanceof EvaluationError) return inner;
    if (inner instanceof ServerError || inner instanceof ClientError) {
      const places = inner.errors?.map(({ code, message }) => `${code}: ${message}`) ?? [];
      return new Error([`OPA failed to evaluate (${inner.code}): ${inner.message}`, ...places].join('; '));
    }
  }
  return new EvaluationError('engine_unavailable', 'OPA gave an answer that is none of its REST API.', {
    cause: error,
  });
}

function createClient(config: OpaConfig, connection: OpaConnection): OpaApiClientCore {
  const fetcher = async (asked: string | URL | Request): Promise<Response> => {
    if (!(asked instanceof Request)) throw new TypeError('The SDK of OPA asks by a Request.');
    const { pathname, search } = new URL(asked.url);
    return createAnswer(await connection.ask(pathname + search, await asked.text(), config.timeout));
  };
  return new OpaApiClientCore({ serverURL: config.url.href, httpClient: new HTTPClient({ fetcher }) });
}

/**
 * 400 and 500 are OPA's own ways to say that a policy failed. Anything else, a redirect too, is no answer of an OPA. Parsed
 * here, because what is thrown while the SDK reads an answer becomes an unhandled rejection as well, which ends a process.
 *
 * @throws EvaluationError
 */
function createAnswer({ status, bytes }: OpaAnswer): DecisionAnswer {
  if (status !== 200 && status !== 400 && status !== 500) {
    const advice = status === 401 || status === 403 ? ' Check policy.opa.token_env or token_file.' : '';
    throw unavailable(`OPA answered with status ${status} instead of a decision.${advice}`);
  }
  try {
    const parsed = parseExactJson(bytes.toString('utf8'));
    if (isRecord(parsed)) return new DecisionAnswer(status, parsed);
  } catch (cause) {
    throw unavailable(noAnswer, cause);
  }
  throw unavailable(noAnswer);
}

const noAnswer = 'OPA gave an answer that is none of its REST API.';

function unavailable(message: string, cause?: unknown): EvaluationError {
  return new EvaluationError('engine_unavailable', message, { cause });
}

/**
 * An answer that keeps two things from the SDK, whose schema refuses them: a result that is null, and the provenance of an
 * OPA that was built without a time of its build.
 */
class DecisionAnswer extends Response {
  readonly isNull: boolean;
  readonly revision: string | undefined;
  override readonly json: () => Promise<unknown>;

  constructor(status: number, { provenance, result, ...rest }: Readonly<Record<string, unknown>>) {
    super(null, { status, headers: { 'content-type': 'application/json' } });
    this.isNull = result === null;
    this.revision = readRevision(provenance);
    const shown = result === null || result === undefined ? rest : { ...rest, result };
    this.json = async () => shown;
  }
}

/** `{"bundles": {"<name>": {"revision": "..."}}}`; the revision of one bundle, else each with its name. */
function readRevision(provenance: unknown): string | undefined {
  const bundles = isRecord(provenance) ? provenance['bundles'] : undefined;
  if (!isRecord(bundles)) return undefined;
  const revisions = Object.entries(bundles).flatMap(([name, bundle]) => {
    const revision = isRecord(bundle) ? bundle['revision'] : undefined;
    return typeof revision === 'string' && revision !== '' ? [{ name, revision }] : [];
  });
  const [only] = revisions;
  if (only === undefined) return undefined;
  const text =
    revisions.length === 1
      ? only.revision
      : revisions
          .map(({ name, revision }) => `${name}=${revision}`)
          .sort()
          .join(',');
  return text.slice(0, longestRevision);
}

/** Ready once its bundles are active: before that every document is undefined. */
async function probe({ url }: OpaConfig, connection: OpaConnection): Promise<string | undefined> {
  try {
    const { status } = await connection.ask(
      `${url.pathname.replace(/\/$/, '')}/health?bundles`,
      undefined,
      probeTimeoutMs,
    );
    // An OPA with rules for its own API may refuse this one; it is there.
    return status < 500 ? undefined : `OPA is there and not healthy (status ${status}); its bundles may not be active.`;
  } catch (error) {
    return error instanceof Error ? error.message : 'OPA does not answer.';
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
