import type { Asked } from '../input/ask/asked.ts';
import { type GuardedJson, guardJson } from '../input/guard/guard.ts';
import { knownMembers } from '../input/guard/known-members.ts';
import { locateMember } from '../input/guard/locate.ts';
import type { Route } from '../input/routes.ts';
import { spliceIncludeUsage } from '../stream/include-usage.ts';
import { answerKind } from './answer-kind.ts';
import { applySplices } from './splice.ts';

export interface PreparedBody {
  readonly bytes: Buffer | undefined;
  /** Names of what was spliced; empty where the judged bytes go out as they came. */
  readonly changes: readonly string[];
}

/** The judged bytes, or those with named splices, guarded again as a whole. */
export function prepareBody(route: Route, guarded: GuardedJson | undefined, asked: Asked | undefined): PreparedBody {
  if (guarded === undefined || route.request === undefined) return { bytes: undefined, changes: [] };
  const answer = answerKind(route.request);
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
