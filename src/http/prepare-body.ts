import type { Asked } from '../input/ask/asked.ts';
import { type GuardedJson, guardJson } from '../input/guard/guard.ts';
import { knownMembers } from '../input/guard/known-members.ts';
import { locateMember } from '../input/guard/locate.ts';
import type { Route } from '../input/routes.ts';
import { spliceIncludeUsage } from '../stream/include-usage.ts';
import type { AnswerKind } from '../types.ts';
import { applySplices } from './splice.ts';

export interface PreparedBody {
  readonly bytes: Buffer | undefined;
  /** Names of what was spliced; empty where the judged bytes go out as they came. */
  readonly changes: readonly string[];
}

export interface JudgedBody {
  readonly route: Route;
  readonly guarded: GuardedJson | undefined;
  readonly asked: Asked | undefined;
  /** Of the answer that it will bring. */
  readonly answer: AnswerKind | undefined;
}

/** The judged bytes, or those with named splices, guarded again as a whole. */
export function prepareBody({ route, guarded, asked, answer }: JudgedBody): PreparedBody {
  if (guarded === undefined || route.request === undefined) return { bytes: undefined, changes: [] };
  // All other answers say their counts unasked.
  const mustAsk = answer === 'openai.chat' || answer === 'openai.completion';
  if (!mustAsk || asked?.kind !== 'prompt' || !asked.stream || asked.includeUsage)
    return { bytes: guarded.bytes, changes: [] };
  const splice = spliceIncludeUsage(guarded.bytes, {
    documentEnd: guarded.end,
    streamOptions: locateMember(guarded, ['stream_options']),
    includeUsage: locateMember(guarded, ['stream_options', 'include_usage']),
  });
  if (splice === undefined) return { bytes: guarded.bytes, changes: [] };
  const bytes = applySplices(guarded.bytes, [splice]);
  guardJson(bytes, knownMembers[route.request]);
  return { bytes, changes: [splice.name] };
}
