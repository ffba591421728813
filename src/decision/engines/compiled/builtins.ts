/**
 * Who answers the built-ins that a compiled policy imports: the host (`host-builtins.ts`), else OPA's own code. None of the
 * JavaScript ones that @open-policy-agent/opa-wasm brings: they differ from OPA's, and one of them backtracks.
 *
 * OPA's own needs an instance of its module in this thread, made only if a policy imports such a built-in.
 */
import { PolicyError, type PolicyFault } from '../../../errors.ts';
import { createOpaInstance, type OpaInstance } from '../../../opa-module/instance.ts';
import { type DecisionFacts, hostBuiltins } from './host-builtins.ts';
import { type CallBuiltin, PolicyAbort } from './policy-module.ts';

/** The same for a policy in a directory (`opa/compile.go`) and for one that comes compiled. */
export const unavailableBuiltins: Readonly<Record<string, string>> = {
  'http.send': 'there is no network inside a WebAssembly policy',
  'net.lookup_ip_addr': 'there is no network inside a WebAssembly policy',
  'opa.runtime': 'a WebAssembly policy runs without an OPA to tell of',
};

export interface Builtins {
  readonly call: CallBuiltin;
  /** Before each evaluation. */
  begin(decision: DecisionFacts): void;
}

export type OpaModuleSource = () => Promise<WebAssembly.Module>;

/**
 * @param imports number to name
 * @param opaModule where OPA's module comes from; undefined where it was not built
 * @throws PolicyError that names each built-in that nobody answers
 */
export async function createBuiltins(
  imports: ReadonlyMap<number, string>,
  opaModule: OpaModuleSource | undefined,
): Promise<Builtins> {
  const names = [...imports.values()];
  refuse(names, unavailableBuiltins, (name, why) => `${name}: ${why}; use the opa engine for this policy`);
  const elsewhere = names.filter((name) => !Object.hasOwn(hostBuiltins, name));
  if (elsewhere.length > 0 && opaModule === undefined) refuse(elsewhere, undefined, sayNotBuilt);
  const opa = elsewhere.length > 0 && opaModule !== undefined ? createOpaInstance(await opaModule()) : undefined;
  if (opa !== undefined) {
    const { version, names: known } = readKnown(opa);
    const unknown = elsewhere.filter((name) => !known.has(name));
    refuse(unknown, undefined, (name) => sayUnknown(name, version));
  }

  let decision: DecisionFacts = { nowNs: 0, id: '' };
  /** Whether OPA's instance knows of this decision yet: most rules call none of its built-ins. */
  let isTold = false;
  const callables = new Map([...imports].map(([id, name]) => [id, createCallable(name)]));

  function createCallable(name: string): CallBuiltin {
    const host = Object.hasOwn(hostBuiltins, name) ? hostBuiltins[name] : undefined;
    if (host !== undefined) {
      return (memory, _id, addresses) => {
        const args = memory.dump(addresses).map((bytes) => Buffer.from(bytes.subarray(0, -1)).toString('utf8'));
        const result = host(decision, args);
        return result === undefined ? 0 : memory.write(Buffer.from(result));
      };
    }
    if (opa === undefined) throw new Error(`Nobody answers ${name}.`);
    const named = Buffer.from(`${name}\0`);
    return (memory, _id, addresses) => {
      if (!isTold) {
        // By its text: a number beyond 2^53 stands for the digits that it is written with.
        opa.beginDecision(BigInt(Math.trunc(decision.nowNs) === decision.nowNs ? String(decision.nowNs) : 0));
        isTold = true;
      }
      const { outcome, text } = opa.callBuiltin([named, ...memory.dump(addresses)]);
      if (outcome === 'halt') throw new PolicyAbort(Buffer.from(text).toString('utf8'));
      return outcome === 'undefined' ? 0 : memory.write(text);
    };
  }

  return {
    call(memory, id, addresses) {
      const callable = callables.get(id);
      if (callable === undefined) throw new Error(`The policy calls a built-in that it does not list: ${id}.`);
      return callable(memory, id, addresses);
    },
    begin(next) {
      decision = next;
      isTold = false;
    },
  };
}

function readKnown(opa: OpaInstance): { readonly version: string; readonly names: ReadonlySet<string> } {
  const answer: unknown = JSON.parse(opa.serve(Buffer.from('{"command":"builtins"}')).json);
  if (typeof answer === 'object' && answer !== null && 'result' in answer) {
    const { result } = answer;
    if (typeof result === 'object' && result !== null && 'names' in result && 'version' in result) {
      const { names, version } = result;
      if (Array.isArray(names) && typeof version === 'string') return { version, names: new Set(names.map(String)) };
    }
  }
  throw new PolicyError('opa/build/opa.wasm is of another version of opallama: "npm run build:opa" makes it anew.');
}

/** @throws PolicyError if there is a name to refuse */
function refuse(
  names: readonly string[],
  only: Readonly<Record<string, string>> | undefined,
  say: (name: string, why: string) => string,
): void {
  const faults = names.flatMap((name): PolicyFault[] => {
    if (only !== undefined && !Object.hasOwn(only, name)) return [];
    const message = say(name, only?.[name] ?? '');
    return [{ code: 'unsupported_builtin', message, file: undefined, row: undefined, column: undefined }];
  });
  if (faults.length > 0) {
    throw new PolicyError('The policy calls built-in functions that the wasm engine can not answer.', faults);
  }
}

function sayNotBuilt(name: string): string {
  return (
    `${name} is answered by OPA's own code, and opa/build/opa.wasm is not there: it is built by "npm run build:opa" where ` +
    'Go 1.21 or newer is installed, and comes with the npm package. Or rewrite the rule without it.'
  );
}

function sayUnknown(name: string, version: string): string {
  return (
    `${name} is no built-in of OPA ${version}, which is the one here. Was the bundle compiled by another version? Compile ` +
    'it with that one, or use the opa engine.'
  );
}
