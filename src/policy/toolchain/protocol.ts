/**
 * What is asked of OPA's tool chain and what it answers. The same types stand for the WebAssembly module (`opa/`) and for
 * an `opa` command on the PATH. Types only.
 *
 * Rego is version 1 throughout. Files in faults, tests and coverage are the names under which the modules were given.
 */
import type { PolicyFault } from '../../errors.ts';
import type { EntrypointShape } from '../../types.ts';

/** A policy as it was read: nothing here touches the file system. */
export interface PolicySources {
  /** File name to Rego text. A name that ends in `_test.rego` is a test: never part of what is compiled or inspected. */
  readonly modules: Readonly<Record<string, string>>;
  /** The base documents, mounted: what `data` is before any rule. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** JSON Schemas that modules are type-checked against; `package system` is exempt. */
export interface TypeSchemas {
  /** Bound to `input` in every package that binds none by METADATA. */
  readonly input?: unknown;
  /** Name to schema, for `schemas: [{input: schema.<name>}]` in METADATA. */
  readonly named?: Readonly<Record<string, unknown>>;
}

export interface CompileRequest extends PolicySources {
  /** Rules or packages, `ollama/authz`. Each must exist. */
  readonly entrypoints: readonly string[];
  /** Compiled if they exist: `ollama/response`. */
  readonly optionalEntrypoints?: readonly string[];
}

export interface CompileResult {
  /** `policy.wasm` as `opa build -t wasm` makes it; data is not inside. */
  readonly wasm: Uint8Array;
  /** Those of the request that are in the module. */
  readonly entrypoints: readonly string[];
  readonly inspection: Inspection;
}

export interface CheckRequest extends PolicySources {
  readonly schemas?: TypeSchemas;
}

export interface CheckResult {
  /** Empty if everything parses, compiles and has matching types; sorted by file, row, column. */
  readonly faults: readonly PolicyFault[];
}

export interface FindingsRequest extends PolicySources {
  /** Those that decide, and those that METADATA declares. */
  readonly entrypoints: readonly string[];
  readonly schemas?: Pick<TypeSchemas, 'input'>;
  /** Rules by which a decision is read, `allow` and the like. */
  readonly decisionNames: readonly string[];
  /** Packages whose rules need not be used, `opallama/lib`. */
  readonly libraries: readonly string[];
}

/**
 * What compiles and is most likely not meant, by code: `near_rule`, `near_rule_beside`, `near_input`, `near_value`,
 * `impossible_value`, `never_holds`, `contradiction`, `unreachable`, `metadata_missing`, `metadata_malformed`, `code_undeclared`,
 * `reason_malformed`.
 */
export interface FindingsResult {
  readonly findings: readonly PolicyFault[];
}

export interface TestRequest extends PolicySources {
  readonly coverage?: boolean;
  /** Limit for one test, milliseconds; 5,000 by default. */
  readonly timeoutMs?: number;
  /** RE2 pattern: only tests whose full name (`data.ollama.authz_test.test_x`) it matches. */
  readonly run?: string;
}

export interface TestCase {
  /** `data.ollama.authz_test` */
  readonly package: string;
  readonly name: string;
  readonly file: string;
  readonly row: number;
  readonly column: number;
  /** `skip`: a rule named `todo_test_...`. `error`: evaluation failed or took too long. */
  readonly outcome: 'pass' | 'fail' | 'error' | 'skip';
  readonly durationNs: number;
  /** What the test printed. */
  readonly output: string;
  /** Why, for `fail` and `error`. */
  readonly message?: string;
  /** The expression of a failing test that is not true; absent where the tool chain can't tell. */
  readonly failedAt?: { readonly row: number; readonly text: string };
}

export interface TestResult {
  /** No test failed or ended in an error. True where there is no test at all. */
  readonly passed: boolean;
  readonly cases: readonly TestCase[];
  readonly coverage?: Coverage;
}

/** Rows count from 1, both ends included. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
}

export interface FileCoverage {
  readonly covered: readonly RowRange[];
  readonly notCovered: readonly RowRange[];
  readonly coveredLines: number;
  readonly notCoveredLines: number;
  /** 0 to 100. */
  readonly percent: number;
}

export interface Coverage {
  readonly files: Readonly<Record<string, FileCoverage>>;
  readonly percent: number;
}

export interface FormatRequest {
  readonly modules: Readonly<Record<string, string>>;
}

export interface FormatResult {
  /** The formatted text of every file that parses. */
  readonly modules: Readonly<Record<string, string>>;
  /** Files whose text changes. */
  readonly changed: readonly string[];
  readonly faults: readonly PolicyFault[];
}

export interface InspectRequest extends PolicySources {
  /** Their shapes are wanted; one that does not exist is `unknown`. */
  readonly entrypoints?: readonly string[];
}

/** What is known of a policy without running it. Covers every module that is no test. */
export interface Inspection {
  /** The version of OPA that looked at it, where the tool chain tells. */
  readonly opaVersion?: string;
  /** `all`: everything may be read (a bare `input`, a computed first step, `with input as` ...), and members is what is known beside it. */
  readonly reads: { readonly all: boolean; readonly members: readonly string[] };
  /** By entrypoint, for those that were asked for. */
  readonly shapes: Readonly<Record<string, EntrypointShape>>;
  /** `ollama/authz`, `ollama/authz/allow`: every package and every rule that can be an entrypoint. */
  readonly packages: readonly string[];
  readonly rules: readonly string[];
  /** Those that METADATA marks with `entrypoint: true`. */
  readonly declaredEntrypoints: readonly string[];
  /** Every `custom.code` of METADATA. */
  readonly codes: readonly string[];
  readonly annotations: readonly Annotation[];
  /** Built-ins that rules call. */
  readonly builtins: readonly string[];
  /** Of these, the ones whose result is not decided by their arguments (clock, random, network). */
  readonly nondeterministicBuiltins: readonly string[];
}

export interface Annotation {
  readonly scope: 'rule' | 'document' | 'package' | 'subpackages';
  /** The package or rule it describes, as an entrypoint: `ollama/authz/deny`. */
  readonly path: string;
  readonly file: string;
  readonly row: number;
  readonly title?: string;
  readonly description?: string;
  readonly entrypoint: boolean;
  readonly custom: Readonly<Record<string, unknown>>;
}

export interface ExplainRequest extends PolicySources {
  readonly entrypoint: string;
  readonly input: unknown;
  /** Unix time in ns that `time.now_ns` gives; the machine's clock by default. */
  readonly nowNs?: number;
  /** Members of the input whose values, and what was made of them, are not to be told. */
  readonly content?: readonly string[];
  /** OPA's own trace as text, of at most 50,000 events; values are left out of it where content is. */
  readonly trace?: boolean;
}

/** A value; the beginning of the text of one of more than 2,000 bytes; or why there is none. */
export interface ShownValue {
  readonly value?: unknown;
  readonly cut?: string;
  readonly undefined?: boolean;
  /** Not told, because it may hold content. */
  readonly hidden?: boolean;
}

/** A name as it stands in the source, with values between its brackets: `data.ollama.roles.guest.models`. */
export interface ShownBinding extends ShownValue {
  readonly name: string;
}

/** The expression at which a rule ended. Of several tries, for each element of a list say, those that came furthest. */
export interface ExplainedFailure {
  readonly file: string;
  readonly row: number;
  readonly column: number;
  /** The source. */
  readonly text: string;
  readonly bindings: readonly ShownBinding[];
  /** What the expression asked of other rules: indices into `evaluations`. */
  readonly calls: readonly number[];
}

/** One time that a rule was asked. */
export interface ExplainedEvaluation {
  /** Index into `rules`. */
  readonly rule: number;
  readonly held: boolean;
  /** What it gave, at most 20. */
  readonly values: readonly ShownValue[];
  /** Of one that held: what its body saw. */
  readonly bindings: readonly ShownBinding[];
  /** Of one that did not hold, at most three. Empty where a rule was entered and its head did not fit. */
  readonly failures: readonly ExplainedFailure[];
}

export interface ExplainedRule {
  /** `ollama/authz/deny` */
  readonly path: string;
  readonly file: string;
  readonly row: number;
  readonly column: number;
  /** The line where it begins. */
  readonly text: string;
  readonly function: boolean;
  readonly default: boolean;
  /** How often it was asked, and how often it gave something. */
  readonly asked: number;
  readonly held: number;
  /** Its values may hold content. */
  readonly hidden: boolean;
}

export interface Explanation {
  /** Whether the entrypoint gave anything. */
  readonly defined: boolean;
  readonly result?: unknown;
  /** Why the evaluation failed. */
  readonly error?: string;
  /** All that are no tests, by file and place. */
  readonly rules: readonly ExplainedRule[];
  readonly evaluations: readonly ExplainedEvaluation[];
  /** More happened than is told of. */
  readonly cut: boolean;
  readonly trace?: string;
}

/**
 * OPA's tool chain. Calls may overlap; they are served in order.
 *
 * Every method rejects with a `PolicyError` whose faults have codes: OPA's own (`rego_parse_error`, `rego_type_error`,
 * `rego_compile_error` ...), or `unknown_entrypoint`, `unsupported_builtin`, `data_conflict`, `toolchain_missing`,
 * `toolchain_died`, `toolchain_timeout`, `toolchain_failed`, `toolchain_closed`.
 */
export interface Toolchain {
  /**
   * `native`: `opa/` as a program of this machine; `wasm`: its module; both in a child process. `opa`: the command; `none`:
   * every call rejects with `toolchain_missing`.
   */
  readonly kind: 'native' | 'wasm' | 'opa' | 'none';
  /** Rejects if anything does not parse or compile, an entrypoint is missing, or a rule needs what WASM can't give. */
  compile(request: CompileRequest): Promise<CompileResult>;
  /** Faults in the policy are its result; only a tool chain that fails rejects. */
  check(request: CheckRequest): Promise<CheckResult>;
  /** Undefined where the tool chain can't tell. Rejects if the modules don't compile. */
  findings(request: FindingsRequest): Promise<FindingsResult | undefined>;
  /** Rejects if the modules don't compile; failing tests are a result. */
  test(request: TestRequest): Promise<TestResult>;
  /** Files that don't parse are in its faults. */
  format(request: FormatRequest): Promise<FormatResult>;
  /** Rejects if the modules don't compile. */
  inspect(request: InspectRequest): Promise<Inspection>;
  /** Rejects if the modules don't compile or the entrypoint is missing; an evaluation that fails is a result. `opa` can't. */
  explain(request: ExplainRequest): Promise<Explanation>;
  /** A call will come: what can be started before it is. */
  warmUp(): void;
  /** Ends the child; calls in flight reject. */
  close(): Promise<void>;
}
