import { type JsonObject, objectOf, objectsOf, stringOf } from './members.ts';

export interface AskedTools {
  readonly hasTools: boolean;
  readonly toolNames: readonly string[];
  /** Bytes of the tools as JSON: templates write them into the prompt in some such form. */
  readonly toolBytes: number;
}

const noTools: AskedTools = { hasTools: false, toolNames: [], toolBytes: 0 };

/** `tools` of both chat dialects (`api.Tool`). An empty list is none: the Python client always sends one. */
export function readTools(body: JsonObject): AskedTools {
  const tools = objectsOf(body, 'tools');
  if (tools.length === 0) return noTools;
  const toolNames = tools.map((tool) => stringOf(objectOf(tool, 'function') ?? {}, 'name'));
  return { hasTools: true, toolNames, toolBytes: Buffer.byteLength(JSON.stringify(tools)) };
}
