import { type JsonObject, objectsOf } from './members.ts';

/**
 * Ollama puts roles into lower case (`api.Message`, `UnmarshalJSON`), on `/v1` too. `developer` is OpenAI's newer name of
 * `system`; Ollama hands it to the template, some of which take it as one.
 */
export function isSystemRole(role: string): boolean {
  const lower = role.toLowerCase();
  return lower === 'system' || lower === 'developer';
}

/** Bytes of a message's `tool_calls` as JSON. */
export function toolCallBytes(message: JsonObject): number {
  const calls = objectsOf(message, 'tool_calls');
  return calls.length === 0 ? 0 : Buffer.byteLength(JSON.stringify(calls));
}
