/** What a module says of itself, checked: the contract that operators write against (docs/engines.md). */
import { PolicyError } from '../../errors.ts';
import type { EntrypointShape, InputNeeds } from '../../types.ts';

export interface ModuleExports {
  readonly evaluate: (input: unknown, entrypoint: string) => unknown;
  readonly reads: InputNeeds;
  readonly codes: ReadonlySet<string>;
  readonly shape: EntrypointShape;
  readonly deterministic: boolean;
  /** Undefined: whichever is asked for. */
  readonly entrypoints: readonly string[] | undefined;
}

const shapes: readonly EntrypointShape[] = ['rule', 'allow', 'deny_list'];
/** As METADATA declares it; it becomes a label of metrics. */
const codePattern = /^[a-z][a-z0-9_.-]{0,63}$/;

/** @throws PolicyError with every fault */
export function readExports(namespace: unknown, file: string): ModuleExports {
  const faults: string[] = [];
  const exported = (name: string): unknown =>
    typeof namespace === 'object' && namespace !== null && name in namespace ? Reflect.get(namespace, name) : undefined;

  const evaluate = exported('evaluate') ?? exported('default');
  if (typeof evaluate !== 'function') faults.push('it must export a function evaluate(input, entrypoint)');
  const reads = readTexts('reads', /./);
  const codes = readTexts('codes', codePattern);
  const entrypoints = readTexts('entrypoints', /./);
  const shape = shapes.find((name) => name === exported('shape')) ?? 'unknown';
  if (shape === 'unknown' && exported('shape') !== undefined) {
    faults.push(`its export "shape" must be one of ${shapes.join(', ')}`);
  }
  const deterministic = exported('deterministic') ?? false;
  if (typeof deterministic !== 'boolean') faults.push('its export "deterministic" must be true or false');

  if (faults.length > 0 || typeof evaluate !== 'function') {
    throw new PolicyError(
      `The module ${file} is no policy.`,
      faults.map((message) => ({ code: 'module_exports', message, file, row: undefined, column: undefined })),
    );
  }
  return {
    evaluate: (input, entrypoint): unknown => Reflect.apply(evaluate, undefined, [input, entrypoint]),
    reads: { all: reads === undefined, members: new Set(reads) },
    codes: new Set(codes),
    shape,
    deterministic: deterministic === true,
    entrypoints,
  };

  function readTexts(name: string, pattern: RegExp): readonly string[] | undefined {
    const value = exported(name);
    if (value === undefined) return undefined;
    const isRight =
      Array.isArray(value) && value.every((element) => typeof element === 'string' && pattern.test(element));
    if (isRight) return value.map(String);
    faults.push(
      `its export "${name}" must be a list of ${name === 'codes' ? 'codes such as "model_not_allowed"' : 'strings'}`,
    );
    return undefined;
  }
}
