/** One case through compile and engine, as the sidecar uses them. */
import { createWasmEngine } from '../../src/decision/engines/wasm.ts';
import type { Toolchain } from '../../src/policy/toolchain/protocol.ts';
import type { PolicyInput, PolicySet } from '../../src/types.ts';
import { policyInput } from '../decision/input.ts';
import { canonical } from './canonical.ts';
import { type Case, inputOf } from './cases.ts';

/** `undefined` on a strict error: what OPA's own suite for WebAssembly holds such cases to, see CONTRIBUTING.md. */
export type Verdict =
  | { readonly passed: true; readonly how: 'result' | 'error' | 'undefined on a strict error' }
  | { readonly passed: false; readonly why: string };

/** @returns whether the case holds; never rejects */
export async function evaluateCase(test: Case, toolchain: Toolchain): Promise<Verdict> {
  if (test.input_is_no_json) return failed('the input is a term that no JSON document is');
  const { modules, entrypoint, readBindings } = planQuery(test);
  let bindings: readonly unknown[];
  try {
    bindings = readBindings(await evaluate(test, modules, entrypoint, toolchain));
  } catch (error) {
    return judgeError(test, error instanceof Error ? error.message : String(error));
  }
  if (test.strict_error && expectsError(test)) {
    return bindings.length === 0
      ? { passed: true, how: 'undefined on a strict error' }
      : failed(`is strict, and gave ${canonical(bindings)}`);
  }
  if (expectsError(test)) return failed(`no error, but ${canonical(bindings)}`);
  const expected = canonicalSet(test.want_result ?? [], test.sort_bindings);
  const actual = canonicalSet(bindings, test.sort_bindings);
  return expected === actual ? { passed: true, how: 'result' } : failed(`expected ${expected}, got ${actual}`);
}

async function evaluate(
  test: Case,
  modules: Readonly<Record<string, string>>,
  entrypoint: string,
  toolchain: Toolchain,
): Promise<readonly unknown[]> {
  const compiled = await toolchain.compile({ modules, data: test.data, entrypoints: [entrypoint] });
  const { reads, shapes, codes, nondeterministicBuiltins } = compiled.inspection;
  const input = inputOf(test);
  const policy: PolicySet = {
    revision: 'conformance',
    wasm: compiled.wasm,
    modules: {},
    files: new Map(),
    data: test.data,
    entrypoints: compiled.entrypoints,
    // Which members are read says nothing of an input that has none.
    reads: { all: reads.all || !isRecord(input), members: new Set(reads.members) },
    shapes: new Map(Object.entries(shapes)),
    codes: new Set(codes),
    deterministic: nondeterministicBuiltins.length === 0,
  };
  const loaded = await createWasmEngine().load(policy);
  try {
    return await loaded.evaluate(entrypoint, asPolicyInput(input));
  } finally {
    await loaded.close();
  }
}

/** `data.a.b = x` asks for an entrypoint, as the sidecar does. Any other query becomes the body of a rule. */
function planQuery(test: Case): {
  readonly modules: Readonly<Record<string, string>>;
  readonly entrypoint: string;
  readonly readBindings: (results: readonly unknown[]) => readonly unknown[];
} {
  const modules = Object.fromEntries(test.modules.map((text, i) => [`module-${i}.rego`, text]));
  const [, path, name] = /^data((?:\.[A-Za-z_]\w*)+) = (?!input\b|\d)(\w+)$/.exec(test.query.trim()) ?? [];
  const packages = test.modules.map((text) => /^\s*package\s+([\w.]+)/m.exec(text)?.[1] ?? '');
  if (path !== undefined && name !== undefined && packages.some((one) => isAtOrBelow(path.slice(1), one))) {
    return {
      modules,
      entrypoint: path.slice(1).replaceAll('.', '/'),
      readBindings: (results) => results.map((result) => ({ [name]: result })),
    };
  }
  const names = Object.keys(test.want_result?.[0] ?? {});
  const head = `{${names.map((one) => `"${one}": ${one}`).join(', ')}}`;
  return {
    modules: {
      ...modules,
      'query.rego': `package conformance_query\n\nbindings contains ${head} if {\n\t${test.query}\n}\n`,
    },
    entrypoint: 'conformance_query/bindings',
    readBindings: ([bindings]) => (Array.isArray(bindings) ? bindings : []),
  };
}

/** A rule or package that a module of the package may have. */
function isAtOrBelow(path: string, one: string): boolean {
  return `${path}.`.startsWith(`${one}.`) || `${one}.`.startsWith(`${path}.`);
}

/**
 * The engine takes the sidecar's own document. The case's is put in its place where it is written: the two members that the
 * engine itself reads stand beside it.
 */
function asPolicyInput(input: unknown): PolicyInput {
  const { now_ns, decision_id } = policyInput();
  const members = Object.getOwnPropertyDescriptors(isRecord(input) ? input : {});
  const document: PolicyInput = Object.create(Object.prototype, {
    now_ns: { value: now_ns },
    decision_id: { value: decision_id },
    toJSON: { value: () => input },
    ...members,
  });
  return document;
}

function judgeError(test: Case, message: string): Verdict {
  if (!expectsError(test)) return failed(message);
  const conflict = /conflict/.test(message);
  const wantsConflict = test.want_error_code === 'eval_conflict_error';
  // Of the codes of errors, compiled policy has only this one; any other error must at least not be a refusal to load.
  if (wantsConflict === conflict && !message.includes('unsupported_builtin')) return { passed: true, how: 'error' };
  return failed(`expected ${test.want_error_code ?? test.want_error}, got ${message}`);
}

function expectsError(test: Case): boolean {
  return test.want_error_code !== undefined || test.want_error !== undefined;
}

function failed(why: string): Verdict {
  return { passed: false, why };
}

/** Results are a set of bindings. @param sorted the elements of each binding are in no order */
function canonicalSet(bindings: readonly unknown[], sorted: boolean): string {
  const texts = bindings.map((binding) => {
    if (!sorted || !isRecord(binding)) return canonical(binding);
    const members = Object.entries(binding).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.toSorted((a, b) => (canonical(a) < canonical(b) ? -1 : 1)) : value,
    ]);
    return canonical(Object.fromEntries(members));
  });
  return [...new Set(texts)].sort().join(' ');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value);
}
