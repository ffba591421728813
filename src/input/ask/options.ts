import { isObject, type JsonObject, numberOf, objectOf } from './members.ts';

/** What both of Ollama's own dialects share beside the text. */
export function readOptions(body: JsonObject) {
  const options = objectOf(body, 'options');
  return {
    options,
    keepAlive: body['keep_alive'] ?? undefined,
    format: setFormat(body['format']),
    maxTokens: options === undefined ? undefined : limitOf(numberOf(options, 'num_predict')),
  };
}

/** llm/server.go takes `null` and `""` as not set. */
export function setFormat(format: unknown): unknown {
  return format === '' ? undefined : (format ?? undefined);
}

/**
 * The limit that a number becomes. Ollama cuts it to a Go int; 0 and below mean no limit, and so does what is beyond an int:
 * the conversion of 1e300 gives a negative one.
 */
export function limitOf(value: number | undefined): number | undefined {
  const limit = Math.trunc(value ?? 0);
  return limit > 0 && limit <= Number.MAX_SAFE_INTEGER ? limit : undefined;
}

/** The caller's own hints; Ollama ignores the member, so another type than an object is not for us to refuse. */
export function readMetadata(body: JsonObject): JsonObject | undefined {
  const metadata = body['metadata'];
  return isObject(metadata) ? metadata : undefined;
}
