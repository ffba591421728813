/** Everything that can be said against a policy without running it. */
import { PolicyError, type PolicyFault } from '../errors.ts';
import { openSchemas, schemasOf } from './input-schema.ts';
import type { PolicySource } from './source.ts';
import type { Toolchain } from './toolchain/protocol.ts';

export interface Finding extends PolicyFault {
  readonly severity: 'error' | 'warning';
}

export interface FaultQuestion {
  readonly source: Pick<PolicySource, 'modules' | 'data' | 'files'>;
  readonly entrypoints: readonly string[];
  readonly inputSchema: unknown;
  readonly schema: 'strict' | 'warn' | 'off';
  readonly decisionNames: readonly string[];
  /** Whether it must compile to WebAssembly. */
  readonly compiled: boolean;
  readonly toolchain: Toolchain;
}

export interface FoundFaults {
  /** By file, row and column. */
  readonly findings: readonly Finding[];
  /** What was not looked at and why, as sentences. */
  readonly notes: readonly string[];
}

/** Rules of packages that policies import are there to be used or not. */
const libraries = ['opallama/lib'];

/** Of these the policy can be meant; every other finding is a mistake in what it says. */
const doubtful: ReadonlySet<string> = new Set([
  'near_rule_beside',
  'never_holds',
  'unreachable',
  'metadata_missing',
  'code_undeclared',
]);

/** @throws PolicyError only where the tool chain fails */
export async function findFaults(question: FaultQuestion): Promise<FoundFaults> {
  const { source, entrypoints, inputSchema, schema, decisionNames, toolchain } = question;
  const { modules, data } = source;
  const schemas = schemasOf(source.files, inputSchema);
  const compile = await toolchain.check({ modules, data, schemas: openSchemas(schemas) });
  if (compile.faults.length > 0) return { findings: compile.faults.map(asError), notes: [] };

  const types = schema === 'off' ? [] : (await toolchain.check({ modules, data, schemas })).faults;
  const found = await toolchain.findings({
    modules,
    data,
    entrypoints,
    schemas: { input: inputSchema },
    decisionNames,
    libraries,
  });
  const slips = (found?.findings ?? [])
    .filter(({ code }) => schema !== 'off' || !['impossible_value', 'near_value'].includes(code))
    .map((fault): Finding => ({ ...fault, severity: severityOf(fault.code, schema) }));
  const findings: Finding[] = [
    ...slips,
    // The nearer explanation of the same place is enough.
    ...types
      .filter((fault) => !slips.some((slip) => explains(slip, fault)))
      .map((fault): Finding => ({ ...fault, severity: schema === 'strict' ? 'error' : 'warning' })),
    ...(question.compiled && entrypoints.length > 0 ? await compileFaults(question) : []),
  ];
  return {
    findings: findings.sort(byPlace),
    notes: [
      ...(found === undefined
        ? [
            'Near names, rules that can not hold and METADATA are looked at by opa/build/opa.wasm only, which is not here.',
          ]
        : []),
      ...(entrypoints.length === 0
        ? ['No entrypoint is known: name one with --entrypoint, or in METADATA (entrypoint: true).']
        : []),
    ],
  };
}

function asError(fault: PolicyFault): Finding {
  return { ...fault, severity: 'error' };
}

function severityOf(code: string, schema: FaultQuestion['schema']): Finding['severity'] {
  if (code === 'near_input') return schema === 'off' ? 'warning' : 'error';
  if (code === 'impossible_value') return schema === 'strict' ? 'error' : 'warning';
  return doubtful.has(code) ? 'warning' : 'error';
}

/** OPA reports a member by the line that needs its type, which may be another one. */
function explains(slip: Finding, fault: PolicyFault): boolean {
  const member = /^there is no (\S+);/.exec(slip.message)?.[1];
  const [said] = fault.message.split('\n', 1);
  return slip.code === 'near_input' && slip.file === fault.file && said === `undefined ref: ${member}`;
}

/** What only the way to WebAssembly shows: an entrypoint that is not there, a built-in that can't be had. */
async function compileFaults({ source, entrypoints, toolchain }: FaultQuestion): Promise<readonly Finding[]> {
  try {
    await toolchain.compile({ modules: source.modules, data: source.data, entrypoints });
    return [];
  } catch (error) {
    if (!(error instanceof PolicyError) || error.faults.some(({ code }) => code.startsWith('toolchain_'))) throw error;
    return error.faults.map(asError);
  }
}

function byPlace(a: Finding, b: Finding): number {
  const [one, other] = [a, b].map(({ file = '', row = 0, column = 0 }) => ({ file, row, column }));
  if (one === undefined || other === undefined) return 0;
  if (one.file !== other.file) return one.file < other.file ? -1 : 1;
  return one.row - other.row || one.column - other.column;
}
