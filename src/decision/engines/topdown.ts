/**
 * OPA's own interpreter (`opa/interpret.go`), in this thread: every built-in but those that need a network. Slower than
 * compiled Rego by one order of magnitude.
 *
 * One instance of the module holds one policy. What breaks it is a trap (memory, stack); the next evaluation makes a new one
 * and loads the policy again.
 */
import { EvaluationError, PolicyError, type PolicyFault } from '../../errors.ts';
import { parseExactJson } from '../../exact-json.ts';
import { createOpaInstance, type OpaInstance } from '../../opa-module/instance.ts';
import { compileOpaModule, isOpaModuleBuilt } from '../../opa-module/module-file.ts';
import type { DecisionEngine, LoadedPolicy, PolicySet } from '../../types.ts';
import { createInputSelector } from './select-input.ts';

export interface TopdownOptions {
  /** The interpreter looks at the clock as it goes and ends an evaluation that took longer, ms. 0: none. */
  readonly limitMs?: number;
}

export function createTopdownEngine({ limitMs = 0 }: TopdownOptions = {}): DecisionEngine {
  return { name: 'topdown', needs: 'rego', holds: 'interpreted', load: (policy) => load(policy, limitMs) };
}

/** @throws PolicyError where the policy does not compile, has no such entrypoint or calls the network */
async function load(policy: PolicySet, limitMs: number): Promise<LoadedPolicy> {
  if (!isOpaModuleBuilt()) {
    throw new PolicyError(
      'The engine topdown is part of opa/build/opa.wasm, which is not there. Run "npm run build:opa", or use the engine wasm.',
    );
  }
  const module = await compileOpaModule();
  const { revision, reads, codes, deterministic, shapes } = policy;
  const { modules, data, entrypoints } = policy;
  // Kept as bytes: they are a tenth of what they are as values.
  const command = Buffer.from(JSON.stringify({ command: 'load', modules, data, entrypoints }));
  const start = (): OpaInstance => {
    const instance = createOpaInstance(module);
    const { ok, faults } = readAnswer(instance.serve(command).json);
    if (!ok) throw new PolicyError('The policy can not be interpreted.', faults);
    return instance;
  };
  const select = createInputSelector(reads);
  let current: OpaInstance | undefined = start();

  return {
    revision,
    entrypoints,
    reads,
    codes,
    deterministic,
    shape: (entrypoint) => shapes.get(entrypoint) ?? 'unknown',
    evaluate(entrypoint, input) {
      const head = `${entrypoint}\0${String(input.now_ns)}\0${limitMs}\0`;
      const request = Buffer.from(head + JSON.stringify(select(input)));
      const instance = current ?? start();
      // Until it has answered it is not known to be whole.
      current = undefined;
      const { outcome, text } = instance.evaluate(request);
      current = instance;
      switch (outcome) {
        case 'results':
          return readResults(text);
        case 'too_long':
          throw new EvaluationError('policy_deadline', text);
        case 'failed':
          throw new EvaluationError('policy_error', text);
      }
    },
    async close() {
      current = undefined;
    },
  };
}

interface LoadAnswer {
  readonly ok: boolean;
  readonly faults: readonly PolicyFault[];
}

/** The form of every answer of the module: `opa/handle.go`. */
function readAnswer(json: string): LoadAnswer {
  const answer: unknown = JSON.parse(json);
  if (typeof answer !== 'object' || answer === null || !('ok' in answer)) throw new Error('OPA gave no answer.');
  const faults: unknown = 'faults' in answer ? answer.faults : [];
  return { ok: answer.ok === true, faults: Array.isArray(faults) ? faults.map(readFault) : [] };
}

function readFault(fault: unknown): PolicyFault {
  const text = (member: string): string | undefined => {
    const value: unknown = Reflect.get(Object(fault), member);
    return typeof value === 'string' ? value : undefined;
  };
  const count = (member: string): number | undefined => {
    const value: unknown = Reflect.get(Object(fault), member);
    return typeof value === 'number' ? value : undefined;
  };
  const code = text('code') ?? 'toolchain_failed';
  return { code, message: text('message') ?? '', file: text('file'), row: count('row'), column: count('column') };
}

function readResults(json: string): readonly unknown[] {
  const results = parseExactJson(json);
  if (!Array.isArray(results)) throw new Error('The interpreter gave no list of results.');
  return results;
}
