import { isObject, type JsonObject, numberOf, refuse } from './members.ts';

/** A format as the runner takes it; llm/server.go takes `null` and `""` as not set. */
export function formatOf(value: unknown): unknown {
  refuseRounded(value, 'format');
  return value === '' ? undefined : (value ?? undefined);
}

export function predictLimitOf(options: JsonObject | undefined): number | undefined {
  return options === undefined ? undefined : limitOf(numberOf(options['num_predict'], 'num_predict'));
}

/**
 * The limit that a number becomes. Ollama cuts it to a Go int; 0 and below mean no limit, and so does what is beyond an int:
 * the conversion of 1e300 gives a negative one.
 */
export function limitOf(value: number | undefined): number | undefined {
  if (value === undefined) return undefined;
  const limit = Math.trunc(value);
  return limit > 0 && limit <= Number.MAX_SAFE_INTEGER ? limit : undefined;
}

/** The caller's own hints; Ollama ignores the member, so another type than an object is not for us to refuse. */
export function metadataOf(value: unknown): JsonObject | undefined {
  if (value === undefined || !isObject(value)) return undefined;
  refuseRounded(value, 'metadata');
  return value;
}

/**
 * A JavaScript number has rounded an integer beyond 2^53, and a policy would judge another one than stands there. `options`
 * and the arguments of tools are not held to it: Ollama itself reads 64-bit floats there.
 */
function refuseRounded(value: unknown, name: string): void {
  if (typeof value === 'number') {
    if (Number.isInteger(value) && !Number.isSafeInteger(value))
      refuse(name, 'without integers beyond 2^53; send text');
  } else if (typeof value === 'object' && value !== null) {
    for (const member of Object.values(value)) refuseRounded(member, name);
  }
}
