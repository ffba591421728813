/** Time of a decision: in place, from the sidecar's own histogram, and alone, in a loop. */
import { createDecider } from '../../src/decision/decide.ts';
import { createWasmEngine } from '../../src/decision/engines/wasm.ts';
import { resolveModelName } from '../../src/input/model-name.ts';
import { preparePolicy } from '../../src/policy/prepare.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';
import type { PolicyInput } from '../../src/types.ts';
import { model } from '../load/exchanges.ts';
import { medianOf, quantileOf } from './statistics.ts';

export interface DecisionTimes {
  /** µs */
  readonly p50: number;
  readonly p99: number;
}

/** Counts of the histogram `opallama_decision_duration_seconds`: upper bound in seconds, decisions up to it. */
export interface DecisionHistogram {
  readonly buckets: ReadonlyArray<readonly [bound: number, count: number]>;
  readonly sumS: number;
  readonly count: number;
}

const entrypoint = 'ollama/authz';
const metric = 'opallama_decision_duration_seconds';

export async function readDecisions(opsPort: number): Promise<DecisionHistogram> {
  const text = await (await fetch(`http://127.0.0.1:${opsPort}/metrics`)).text();
  const buckets: Array<readonly [number, number]> = [];
  for (const [, bound = '', count = ''] of text.matchAll(
    new RegExp(`^${metric}_bucket\\{le="([^"]+)"\\} (\\d+)`, 'gm'),
  )) {
    buckets.push([bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound), Number(count)]);
  }
  const readValue = (suffix: string): number =>
    Number(new RegExp(`^${metric}_${suffix} (\\S+)`, 'm').exec(text)?.[1] ?? Number.NaN);
  return { buckets, sumS: readValue('sum'), count: readValue('count') };
}

export interface DecisionsInPlace {
  readonly count: number;
  /** µs */
  readonly mean: number;
  /** 0 to 1 */
  readonly within25us: number;
}

/** What was decided between two readings. */
export function compareDecisions(before: DecisionHistogram, after: DecisionHistogram): DecisionsInPlace {
  const count = after.count - before.count;
  const upTo = (histogram: DecisionHistogram): number =>
    histogram.buckets.find(([bound]) => bound === 0.000025)?.[1] ?? Number.NaN;
  const within = upTo(after) - upTo(before);
  return { count, mean: ((after.sumS - before.sumS) / count) * 1e6, within25us: within / count };
}

/** Decides the same input again and again, narrowing included. @param durationMs of the whole measurement */
export async function measureDecisionAlone(policyPath: string, durationMs: number): Promise<DecisionTimes> {
  const toolchain = createToolchain({ path: process.env['PATH'] });
  const { policy } = await preparePolicy({ path: policyPath, entrypoint, toolchain }).finally(() => toolchain.close());
  const engine = createWasmEngine();
  const loaded = await engine.load(policy);
  const decide = createDecider({
    engine: engine.name,
    policy: () => loaded,
    entrypoint,
    mode: 'auto',
    denyListOperations: [],
    onError: (error) => {
      throw error;
    },
  });
  const times: number[] = [];
  for (const untilMs = performance.now() + durationMs; performance.now() < untilMs; ) {
    const decision = await decide(input);
    if (!decision.allowed) throw new Error('The default policy denies what the bench asks.');
    times.push(decision.durationNs / 1000);
  }
  await loaded.close();
  // The first half is for the compiler to warm up.
  const warm = times.slice(times.length / 2);
  return { p50: medianOf(warm), p99: quantileOf(warm, 0.99) };
}

const ref = resolveModelName(model);
const input: PolicyInput = {
  version: 1,
  phase: 'request',
  request_id: '00000000-0000-4000-8000-000000000000',
  decision_id: '00000000-0000-4000-8000-000000000001',
  api: 'ollama',
  operation: 'chat',
  method: 'POST',
  path: '/api/chat',
  principal: {
    id: 'alice',
    kind: 'jwt',
    roles: ['developer'],
    permissions: ['chat', 'models'],
    tenant: 'acme',
    claims: { sub: 'alice', roles: ['developer'], tenant: 'acme', scope: 'chat models', iat: 1, exp: 2 },
  },
  model,
  model_ref: ref,
  model_refs: [{ ...ref, part: 'model' }],
  stream: false,
  has_tools: false,
  server_tools: [],
  has_system_prompt: true,
  message_count: 4,
  prompt_bytes: 800,
  estimated_tokens: 200,
  options: { num_predict: 100, temperature: 0.7 },
  max_tokens: 100,
  client: { ip: '127.0.0.1', user_agent: 'opallama-bench' },
  now_ns: 1_767_225_600_000_000_000,
  mcp_server: 'ollama-proxy',
  tool_name: 'ollama-api',
  action: 'POST',
  resource: `ollama/${model}`,
  llm_action: 'llm:chat.completions',
};
