/**
 * The models that the upstream lists, for labels of metrics: a name that a caller made up must not become a series, not
 * even one that an alias by prefix answers to.
 */
import { ask } from './ask.ts';
import type { Connections } from './connections.ts';

export interface ModelList {
  /** Answers from what is known; a name that isn't may have the list read again, in the background. */
  has(model: string): boolean;
  /** Never rejects. */
  refresh(): Promise<void>;
}

export interface ModelListOptions {
  readonly baseUrl: URL;
  readonly connections: Connections;
  /** To the form that is asked for. Throws for what is no model name. */
  readonly canonicalize: (name: string) => string;
  readonly now?: () => number;
}

const pauseMs = 30_000;
const timeoutMs = 5_000;
/** More series than this would be of no use on a dashboard. */
const mostModels = 500;

export function createModelList(options: ModelListOptions): ModelList {
  const now = options.now ?? Date.now;
  let models: ReadonlySet<string> = new Set();
  let readAt = Number.NEGATIVE_INFINITY;

  return { has, refresh };

  function has(model: string): boolean {
    if (models.has(model)) return true;
    if (now() - readAt >= pauseMs) void refresh();
    return false;
  }

  async function refresh(): Promise<void> {
    readAt = now();
    try {
      const names = await readModelNames(options.baseUrl, timeoutMs, options.connections);
      models = new Set(names.slice(0, mostModels).flatMap(canonicalizeOrDrop));
    } catch {
      // An upstream without this list, or one that is down: names stay `other`, and it is asked again later.
    }
  }

  function canonicalizeOrDrop(name: string): string[] {
    try {
      return [options.canonicalize(name)];
    } catch {
      return [];
    }
  }
}

/**
 * @returns the names as Ollama lists them
 * @throws Error where nobody answers, or not with such a list
 */
export async function readModelNames(baseUrl: URL, timeoutMs: number, connections: Connections): Promise<string[]> {
  const { status, body } = await ask(connections, `${baseUrl.pathname.replace(/\/$/, '')}/api/tags`, { timeoutMs });
  if (status !== 200) throw new Error(`status ${status}`);
  const list: unknown = JSON.parse(body.toString('utf8'));
  if (typeof list !== 'object' || list === null || !('models' in list) || !Array.isArray(list.models)) {
    throw new Error('this is no list of models');
  }
  return list.models.flatMap((model: unknown) =>
    typeof model === 'object' && model !== null && 'name' in model && typeof model.name === 'string'
      ? [model.name]
      : [],
  );
}
