/**
 * What the practice upstream says: always the same words, so that nobody takes it for a model, and counts that follow from
 * the texts, so that a count seen in the audit event can be checked by hand.
 */
import { randomBytes } from 'node:crypto';
import { type Asked, isRecord } from './request.ts';

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export interface Answer {
  /** Token by token; together they are the text. Empty for a tool call. */
  readonly pieces: readonly string[];
  readonly toolCall: ToolCall | undefined;
  readonly reason: 'stop' | 'length';
  /** A word is a token; each message adds three for its template, as a small model's would; tools a token for 4 characters. */
  readonly promptTokens: number;
  /** The pieces, and one more for the end where it was reached, as Ollama counts. */
  readonly outputTokens: number;
}

const words =
  'This is the practice upstream of opallama, not a model: it says the same to everybody. Start Ollama and then ' +
  'opallama again for answers that mean something.';

export function composeAnswer(asked: Asked): Answer {
  const promptTokens =
    asked.texts.reduce((sum, text) => sum + 3 + splitTokens(text).length, 0) +
    Math.ceil((asked.tools.length === 0 ? '' : JSON.stringify(asked.tools)).length / 4);
  const tool = asked.tools[0];
  if (tool !== undefined && !asked.afterTool) {
    const sample = exampleOf(tool.parameters, 0);
    const callArguments = isRecord(sample) ? sample : {};
    return {
      pieces: [],
      toolCall: { id: `call_${randomBytes(4).toString('hex')}`, name: tool.name, arguments: callArguments },
      reason: 'stop',
      promptTokens,
      outputTokens: 1 + Math.ceil(JSON.stringify(callArguments).length / 4),
    };
  }
  const all = splitTokens(asked.schema === undefined ? words : JSON.stringify(exampleOf(asked.schema, 0)));
  const pieces = asked.limit === undefined ? all : all.slice(0, asked.limit);
  const cut = asked.limit !== undefined && asked.limit <= all.length;
  return {
    pieces,
    toolCall: undefined,
    reason: cut ? 'length' : 'stop',
    promptTokens,
    outputTokens: cut ? pieces.length : pieces.length + 1,
  };
}

/** Words with the space before them. */
export function splitTokens(text: string): readonly string[] {
  return text.match(/\s*\S+/g) ?? [];
}

/** A value that a JSON Schema describes, for the keywords that tools use; nothing below 8 levels, so that none is endless. */
function exampleOf(schema: unknown, depth: number): unknown {
  if (!isRecord(schema) || depth > 8) return {};
  const choices = schema['enum'];
  if (Array.isArray(choices) && choices.length > 0) return choices[0];
  if ('const' in schema) return schema['const'];
  const type = Array.isArray(schema['type']) ? schema['type'][0] : schema['type'];
  switch (type) {
    case 'string':
      return 'practice';
    case 'integer':
    case 'number':
      return 1;
    case 'boolean':
      return true;
    case 'null':
      return null;
    case 'array':
      return 'items' in schema ? [exampleOf(schema['items'], depth + 1)] : [];
    default: {
      const properties = schema['properties'];
      if (!isRecord(properties)) return {};
      return Object.fromEntries(
        Object.entries(properties).map(([name, property]) => [name, exampleOf(property, depth + 1)]),
      );
    }
  }
}
