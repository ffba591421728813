import { type JsonObject, objectOf, objectsOf, refuse, textOf } from './members.ts';

export interface AskedTools {
  readonly hasTools: boolean;
  readonly toolNames: readonly string[];
  /** Bytes of the tools as JSON: templates write them into the prompt in some such form. */
  readonly toolBytes: number;
}

/** With those that Ollama runs itself. */
export interface AskedServerTools extends AskedTools {
  readonly serverTools: readonly string[];
}

/**
 * Of no tool that anybody offers, and a way past patterns: the star of a glob in compiled policy stands for no line break
 * (docs/builtins.md), and `.` of a regular expression for none either.
 */
const breaksLine = /[\p{Cc}\u2028\u2029]/u;

const noTools: AskedTools = Object.freeze({ hasTools: false, toolNames: Object.freeze([]), toolBytes: 0 });

/** `tools` of Ollama's chat and of OpenAI's (`api.Tool`). An empty list is none: the Python client always sends one. */
export function readTools(value: unknown): AskedTools {
  return measureTools(value, (tool) => textOf(objectOf(tool['function'], 'function')?.['name'], 'name'));
}

/** `tools` of `/v1/responses`, whose names stand in the tool itself. */
export function readFlatTools(value: unknown): AskedTools {
  return measureTools(value, (tool) => textOf(tool['name'], 'name'));
}

/**
 * `tools` of `/v1/messages`. Whatever type begins with `web_search` is Ollama's own tool of that name (`anthropic.convertTool`),
 * which asks ollama.com, whatever name the caller gives it. A tool without such a type is the caller's own, also by that name.
 */
export function readAnthropicTools(value: unknown): AskedServerTools {
  let serverTools: readonly string[] = [];
  const asked = measureTools(value, (tool) => {
    const name = textOf(tool['name'], 'name');
    if (!textOf(tool['type'], 'type').startsWith('web_search')) return name;
    serverTools = ['web_search'];
    return 'web_search';
  });
  return { ...asked, serverTools };
}

function measureTools(value: unknown, nameOf: (tool: JsonObject) => string): AskedTools {
  if (value === undefined) return noTools;
  const tools = objectsOf(value, 'tools');
  if (tools.length === 0) return noTools;
  const toolNames = tools.map(nameOf);
  if (toolNames.some((name) => breaksLine.test(name))) return refuse('name', 'a name without control characters');
  return { hasTools: true, toolNames, toolBytes: Buffer.byteLength(JSON.stringify(tools)) };
}
