/**
 * Asks the engine and narrows what it says. Fails closed: whatever goes wrong here ends as a decision that denies, with its
 * own code, so that it is answered, recorded and counted like any other.
 */
import { type EvaluationCode, EvaluationError, errorTable } from '../errors.ts';
import type { AskedRequest, Decision, LoadedPolicy, Operation, PolicyInput } from '../types.ts';
import { denied, narrow } from './narrow.ts';

export interface DeciderOptions {
  readonly engine: string;
  /** The policy that decides now; undefined while none is loaded. */
  readonly policy: () => LoadedPolicy | undefined;
  readonly entrypoint: string;
  /** `deny_list`: trust the operator where the shape can't be seen. */
  readonly mode: 'auto' | 'deny_list';
  /** Management operations that a deny-list may allow, and `cloud` for cloud models. */
  readonly denyListOperations: readonly string[];
  /** Told about a failed evaluation; the caller's answer does not say what failed. */
  readonly onError: (error: unknown, asked: AskedRequest) => void;
}

export type Decide = (input: PolicyInput) => Promise<Decision>;

/** Operations that only read or run models that are there already; the others change what the upstream serves. */
const ordinaryOperations: ReadonlySet<Operation> = new Set([
  'chat',
  'generate',
  'embed',
  'models.list',
  'models.show',
  'models.ps',
  'status',
  'version',
  'root',
]);

export function createDecider(options: DeciderOptions): Decide {
  const named = new Set(options.denyListOperations);

  return async function decide(input) {
    const policy = options.policy();
    if (policy === undefined) return failed(input, 'policy_unavailable', '', 0);
    const started = performance.now();
    try {
      const evaluated = policy.evaluate(options.entrypoint, input);
      // Awaiting only what has to be awaited keeps the inline engine's way free of a turn of the event loop.
      const results: unknown = evaluated instanceof Promise ? await evaluated : evaluated;
      if (!Array.isArray(results)) throw new TypeError('The engine gave no list of results.');
      const shape = policy.shape(options.entrypoint);
      const trusted = shape === 'unknown' && options.mode === 'deny_list' ? 'deny_list' : shape;
      const narrowed = narrow(results, {
        shape: trusted,
        beyondDenyList: trusted === 'deny_list' ? findBeyondDenyList(input, named) : undefined,
      });
      return {
        ...narrowed,
        decisionId: input.decision_id,
        result: narrowed.allowed ? 'allow' : 'deny',
        engine: options.engine,
        revision: policy.revision,
        durationNs: elapsedNs(started),
      };
    } catch (error) {
      options.onError(error, input);
      const code = error instanceof EvaluationError ? error.code : 'policy_error';
      return failed(input, code, policy.revision, elapsedNs(started));
    }
  };

  function failed(input: PolicyInput, code: EvaluationCode, revision: string, durationNs: number): Decision {
    return {
      ...denied(code),
      httpStatus: errorTable[code].status,
      decisionId: input.decision_id,
      result: 'error',
      engine: options.engine,
      revision,
      durationNs,
    };
  }
}

/** The first thing in the input that a deny-list allows only by name: a management operation, else `cloud` for a cloud model. */
function findBeyondDenyList(input: PolicyInput, named: ReadonlySet<string>): string | undefined {
  if (!ordinaryOperations.has(input.operation) && !named.has(input.operation)) {
    // An input that was written by hand may lack it, and silence must not be taken for something harmless.
    return input.operation ?? 'unknown';
  }
  const usesCloud = input.model_refs?.some((ref) => ref.source === 'cloud') === true;
  return usesCloud && !named.has('cloud') ? 'cloud' : undefined;
}

/** @param started ms */
function elapsedNs(started: number): number {
  return Math.round((performance.now() - started) * 1e6);
}
