/** The tool chain by an `opa` command, for machines where the module of `opa/` could not be built. */
import { z } from 'zod';
import { PolicyError, type PolicyFault } from '../../errors.ts';
import { failure } from './failure.ts';
import { factsOf, isEvaluable, type ModuleFacts, pathOf, rulesOverData, shapeOf } from './opa-ast.ts';
import { memberOfBundle, type OpaOptions, type Workshop, withWorkshop } from './opa-command.ts';
import { annotationsOf, builtinTable, coverage, fault, faultsOf, parseJson, testCases } from './opa-reports.ts';
import type { CheckRequest, CompileRequest, Inspection, PolicySources, Toolchain, TypeSchemas } from './protocol.ts';

/** Starts nothing before it is asked. @returns a tool chain whose results agree with the module's, or say less */
export function createOpaToolchain(options: OpaOptions): Toolchain {
  const inside = <T>(sources: PolicySources, work: (workshop: Workshop) => Promise<T>): Promise<T> =>
    withWorkshop(options, sources.modules, sources.data, work);

  return {
    kind: 'opa',
    compile: (request) => inside(withoutTests(request), (workshop) => compile(workshop, withoutTests(request))),
    check: (request) => inside(request, async (workshop) => ({ faults: await check(workshop, request) })),
    // An opa command has nothing of the kind, and its syntax tree would have to be read here a second time.
    findings: () => Promise.resolve(undefined),
    test: (request) =>
      inside(request, async (workshop) => {
        refuse('The policy does not compile, so its tests did not run.', await check(workshop, request));
        const limit = ['--timeout', `${request.timeoutMs ?? 5_000}ms`];
        const flags = ['--format', 'json', ...limit, ...(request.run === undefined ? [] : ['--run', request.run])];
        const cases = testCases(await workshop.run('test', ...flags, 'policy'), workshop);
        const passed = cases.every(({ outcome }) => outcome === 'pass' || outcome === 'skip');
        // With failing tests the command prints those in place of the coverage.
        if (request.coverage !== true || !passed) return { passed, cases };
        return {
          passed,
          cases,
          coverage: coverage(await workshop.run('test', ...flags, '--coverage', 'policy'), workshop),
        };
      }),
    format: (request) => inside({ ...request, data: {} }, (workshop) => format(workshop, request.modules)),
    inspect: (request) =>
      inside(withoutTests(request), async (workshop) => {
        const sources = withoutTests(request);
        refuse('The policy does not compile.', await check(workshop, sources));
        return (await inspect(workshop, sources, request.entrypoints ?? [])).inspection;
      }),
    explain: () =>
      Promise.reject(
        failure(
          'toolchain_missing',
          'Explaining needs opa/build/opa.wasm, an "opa" command does not say enough. Where Go 1.21 or newer is installed, "npm run build:opa" builds it.',
        ),
      ),
    // It is started anew for each call.
    warmUp: () => undefined,
    close: () => Promise.resolve(),
  };
}

function withoutTests<T extends PolicySources>(request: T): T {
  const kept = Object.entries(request.modules).filter(([file]) => !file.endsWith('_test.rego'));
  return { ...request, modules: Object.fromEntries(kept) };
}

function refuse(summary: string, faults: readonly PolicyFault[]): void {
  if (faults.length > 0) throw new PolicyError(summary, faults);
}

const checkFlags = ['check', '--format', 'json', '--max-errors', '1000'];

async function check(workshop: Workshop, request: CheckRequest): Promise<readonly PolicyFault[]> {
  if (request.schemas === undefined) return faultsOf(await workshop.run(...checkFlags, 'policy'), workshop);
  const schema = await writeSchemas(workshop, request.schemas);
  const faults = faultsOf(await workshop.run(...checkFlags, '--schema', schema, 'policy'), workshop);
  const kept = faults.filter(({ code, file }) => code !== 'rego_type_error' || !isSystem(request.modules[file ?? '']));
  // Only the exempt package has faults: look at what the schemas kept OPA from checking.
  return kept.length === 0 && faults.length > 0
    ? faultsOf(await workshop.run(...checkFlags, 'policy'), workshop)
    : kept;
}

/** OPA binds one file to `input` everywhere, or a directory of them to the names in METADATA; named ones go first. */
async function writeSchemas(workshop: Workshop, { input, named }: TypeSchemas): Promise<string> {
  if (named === undefined) {
    await workshop.write('input.schema', JSON.stringify(input ?? {}));
    return 'input.schema';
  }
  const schemas = { ...(input === undefined ? {} : { input }), ...named };
  for (const [name, schema] of Object.entries(schemas))
    await workshop.write(`schemas/${name}.json`, JSON.stringify(schema));
  return 'schemas';
}

function isSystem(module: string | undefined): boolean {
  return /^\s*package\s+system\b/m.test(module ?? '');
}

async function compile(workshop: Workshop, request: CompileRequest): ReturnType<Toolchain['compile']> {
  refuse('The policy does not compile.', await check(workshop, { modules: request.modules, data: request.data }));
  const optional = request.optionalEntrypoints ?? [];
  const { facts, inspection } = await inspect(workshop, request, [...request.entrypoints, ...optional]);
  const modules = facts.map(([, each]) => each);
  const exists = (name: string) => isEvaluable(name, modules);
  const missing = request.entrypoints.filter((name) => !exists(name));
  const examples = inspection.packages.slice(0, 5).join(', ');
  refuse('The policy does not compile.', [
    ...missing.map((name) =>
      fault(
        'unknown_entrypoint',
        `no rule or package is named "${name}"; write package and rule with slashes, such as ${examples}`,
      ),
    ),
    ...facts.flatMap(([file, each]) => [...unavailableBuiltins(file, each), ...conflicts(file, each, request.data)]),
  ]);
  const entrypoints = [...new Set([...request.entrypoints, ...optional.filter(exists)])];
  const flags = entrypoints.flatMap((name) => ['--entrypoint', pathOf(name).join('/')]);
  const output = await workshop.run('build', '--target', 'wasm', ...flags, '--output', 'bundle.tar.gz', 'policy');
  if (!output.succeeded) {
    throw new PolicyError('The policy does not compile.', [fault('rego_compile_error', output.stderr.trim())]);
  }
  const wasm = memberOfBundle(await workshop.read('bundle.tar.gz'), 'policy.wasm');
  if (wasm === undefined) throw failure('toolchain_failed', 'opa build made a bundle without policy.wasm');
  const shapes = Object.fromEntries(Object.entries(inspection.shapes).filter(([name]) => entrypoints.includes(name)));
  return { wasm, entrypoints, inspection: { ...inspection, shapes } };
}

const unavailable = new Set(['http.send', 'net.lookup_ip_addr', 'opa.runtime']);

function unavailableBuiltins(file: string, facts: ModuleFacts): readonly PolicyFault[] {
  return facts.calls
    .filter(({ name }) => unavailable.has(name))
    .map(({ name, row, column }) => ({
      code: 'unsupported_builtin',
      message: `${name}: a WebAssembly policy has neither network nor runtime; use the opa engine for this policy`,
      file,
      row,
      column,
    }));
}

function conflicts(file: string, facts: ModuleFacts, data: PolicySources['data']): readonly PolicyFault[] {
  return rulesOverData(facts, data).map(({ path, row, column }) => ({
    code: 'rego_compile_error',
    message: `conflicting rule for data path ${path.join('/')} found`,
    file,
    row,
    column,
  }));
}

async function inspect(
  workshop: Workshop,
  sources: PolicySources,
  entrypoints: readonly string[],
): Promise<{ readonly facts: ReadonlyArray<readonly [string, ModuleFacts]>; readonly inspection: Inspection }> {
  const facts: Array<readonly [string, ModuleFacts]> = [];
  for (const file of Object.keys(sources.modules).sort()) {
    const output = await workshop.run(
      'parse',
      '--format',
      'json',
      '--json-include',
      'locations,-comments',
      workshop.here(file),
    );
    facts.push([file, factsOf(parseJson(output.stdout, z.unknown(), output))]);
  }
  const modules = facts.map(([, each]) => each);
  const output = await workshop.run('capabilities', '--current');
  const table = new Map(parseJson(output.stdout, builtinTable, output).builtins.map((each) => [each.name, each]));
  const called = modules
    .flatMap(({ calls }) => calls.map(({ name }) => table.get(name)))
    .filter((each) => each !== undefined && each.infix === undefined && !each.name.startsWith('internal.'))
    .filter((each) => each !== undefined);
  const annotations = await annotationsOf(
    await workshop.run('inspect', '--annotations', '--format', 'json', 'policy'),
    workshop,
  );
  const codes = annotations.map(({ custom }) => custom['code']).filter((code) => typeof code === 'string');
  return {
    facts,
    inspection: {
      reads: {
        all: modules.some(({ reads }) => reads.all),
        members: unique(modules.flatMap(({ reads }) => [...reads.members])),
      },
      shapes: Object.fromEntries(entrypoints.map((name) => [name, shapeOf(name, modules, sources.data)])),
      packages: unique(modules.map((each) => each.package.join('/'))),
      rules: unique(
        modules.flatMap(({ rules }) => rules.filter((rule) => !rule.isFunction).map((rule) => rule.path.join('/'))),
      ),
      declaredEntrypoints: unique(annotations.filter(({ entrypoint }) => entrypoint).map(({ path }) => path)),
      codes: unique(codes),
      annotations,
      builtins: unique(called.map(({ name }) => name)),
      nondeterministicBuiltins: unique(called.filter((each) => each.nondeterministic === true).map(({ name }) => name)),
    },
  };
}

function unique(names: readonly string[]): readonly string[] {
  return [...new Set(names)].sort();
}

async function format(workshop: Workshop, modules: Readonly<Record<string, string>>): ReturnType<Toolchain['format']> {
  const formatted: Record<string, string> = {};
  const faults: PolicyFault[] = [];
  for (const file of Object.keys(modules).sort()) {
    const output = await workshop.run('fmt', workshop.here(file));
    if (output.succeeded) {
      formatted[file] = output.stdout;
      continue;
    }
    const parsed = faultsOf(await workshop.run('parse', '--format', 'json', workshop.here(file)), workshop);
    faults.push(...(parsed.length > 0 ? parsed : [{ ...fault('rego_format_error', output.stderr.trim()), file }]));
  }
  const changed = Object.keys(formatted).filter((file) => formatted[file] !== modules[file]);
  return { modules: formatted, changed, faults };
}
