import { type JsonObject, objectsOf, refuse, textOf } from './members.ts';

/**
 * A message's role as Ollama reads it: in lower case (`api.Message`, `UnmarshalJSON`), on `/v1` too. Beyond ASCII Go's lower
 * case is not JavaScript's (a dotted capital I becomes `i` there), so no such role passes.
 */
export function roleOf(message: JsonObject): string {
  const role = textOf(message['role'], 'role');
  // Nearly every role is one of these.
  if (role === 'user' || role === 'assistant' || role === 'system' || role === 'tool') return role;
  if (!/^[ -~]*$/.test(role)) return refuse('role', 'plain ASCII');
  return role.toLowerCase();
}

/** `developer` is OpenAI's newer name of `system`; Ollama hands it to the template, and some take it as one. */
export function isSystemRole(role: string): boolean {
  return role === 'system' || role === 'developer';
}

/** The messages for policy, which must not have to think of a `SYSTEM` that Ollama reads as `system`. */
export function withPlainRoles(messages: readonly JsonObject[]): readonly JsonObject[] {
  const plain = messages.every((message) => roleOf(message) === (message['role'] ?? ''));
  return plain ? messages : messages.map((message) => ({ ...message, role: roleOf(message) }));
}

/** Bytes of a message's `tool_calls` as JSON. */
export function toolCallBytes(message: JsonObject): number {
  const value = message['tool_calls'];
  if (value === undefined) return 0;
  const calls = objectsOf(value, 'tool_calls');
  return calls.length === 0 ? 0 : Buffer.byteLength(JSON.stringify(calls));
}
