/** What is asked of the practice upstream, read from both dialects into one form. */

export interface Tool {
  readonly name: string;
  /** JSON Schema of its arguments. */
  readonly parameters: unknown;
}

export interface Asked {
  /** As the client wrote it: Ollama echoes that spelling. */
  readonly model: string;
  /** The texts of the prompt, one for each message. */
  readonly texts: readonly string[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Most tokens to answer with; undefined for no limit. Zero and negative numbers don't limit, as in Ollama. */
  readonly limit: number | undefined;
  readonly tools: readonly Tool[];
  /** The last message is a tool's result, which wants words and not another call. */
  readonly afterTool: boolean;
  /** JSON Schema of the answer, `{}` for any object; undefined for words. */
  readonly schema: unknown;
  /** `keep_alive: 0` in a request without a prompt. */
  readonly unload: boolean;
}

/** An answer that is an error. The dialect gives it its shape. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws Refusal 400 if the body is not a JSON object */
export function parseBody(body: Buffer): Readonly<Record<string, unknown>> {
  if (body.length === 0) throw new Refusal(400, 'missing request body');
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    throw new Refusal(400, 'the request body is not JSON');
  }
  if (!isRecord(value)) throw new Refusal(400, 'the request body must be a JSON object');
  return value;
}

export function readChat(body: Readonly<Record<string, unknown>>): Asked {
  const messages = listOf(body['messages']);
  return {
    ...readNative(body),
    texts: messages.map((message) => textOf(message['content'])),
    tools: readTools(body['tools']),
    afterTool: messages.at(-1)?.['role'] === 'tool',
  };
}

export function readGenerate(body: Readonly<Record<string, unknown>>): Asked {
  const prompt = textOf(body['prompt']);
  const system = textOf(body['system']);
  return {
    ...readNative(body),
    texts: prompt === '' ? [] : system === '' ? [prompt] : [system, prompt],
    tools: [],
    afterTool: false,
  };
}

/** @throws Refusal 400 without messages, where the native dialect would load the model */
export function readCompletion(body: Readonly<Record<string, unknown>>): Asked {
  const model = readModel(body);
  const messages = listOf(body['messages']);
  if (messages.length === 0) throw new Refusal(400, "[] is too short - 'messages'");
  const streamOptions = body['stream_options'];
  const format = body['response_format'];
  return {
    model,
    texts: messages.map((message) => textOf(message['content'])),
    stream: readStream(body, false),
    includeUsage: isRecord(streamOptions) && streamOptions['include_usage'] === true,
    limit: readLimit(body['max_tokens']),
    tools: readTools(body['tools']),
    afterTool: messages.at(-1)?.['role'] === 'tool',
    schema: isRecord(format) ? readResponseFormat(format) : undefined,
    unload: false,
  };
}

function readNative(body: Readonly<Record<string, unknown>>): Omit<Asked, 'texts' | 'tools' | 'afterTool'> {
  const options = body['options'];
  const format = body['format'];
  return {
    model: readModel(body),
    stream: readStream(body, true),
    includeUsage: false,
    limit: isRecord(options) ? readLimit(options['num_predict']) : undefined,
    schema: format === 'json' ? {} : isRecord(format) ? format : undefined,
    unload: body['keep_alive'] === 0,
  };
}

function readModel(body: Readonly<Record<string, unknown>>): string {
  const model = body['model'];
  if (typeof model !== 'string' || model === '') throw new Refusal(400, 'model is required');
  return model;
}

function readStream(body: Readonly<Record<string, unknown>>, whereAbsent: boolean): boolean {
  const stream = body['stream'] ?? whereAbsent;
  if (typeof stream !== 'boolean') throw new Refusal(400, 'stream must be true or false');
  return stream;
}

function readLimit(limit: unknown): number | undefined {
  return typeof limit === 'number' && limit >= 1 ? Math.floor(limit) : undefined;
}

function readResponseFormat(format: Readonly<Record<string, unknown>>): unknown {
  if (format['type'] === 'json_object') return {};
  const named = format['json_schema'];
  return format['type'] === 'json_schema' && isRecord(named) ? (named['schema'] ?? {}) : undefined;
}

function readTools(tools: unknown): readonly Tool[] {
  return listOf(tools).flatMap((tool) => {
    const called = tool['function'];
    return isRecord(called) && typeof called['name'] === 'string'
      ? [{ name: called['name'], parameters: called['parameters'] }]
      : [];
  });
}

/** A text, or the texts of OpenAI's content parts. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  return listOf(content)
    .map((part) => part['text'])
    .filter((text) => typeof text === 'string')
    .join(' ');
}

function listOf(value: unknown): ReadonlyArray<Readonly<Record<string, unknown>>> {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
