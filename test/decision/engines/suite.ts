/**
 * One suite for all engines: the cases of `cases.ts`, and what must hold beside them. An engine's test file calls
 * `testEngine` and has nothing else that the suite could have.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { PolicyConfig } from '../../../src/configured/policy.ts';
import { createDecider, type Decide } from '../../../src/decision/decide.ts';
import { createEngine } from '../../../src/decision/engines/table.ts';
import { loadIsolated } from '../../../src/decision/isolation/isolate.ts';
import { preparePolicy } from '../../../src/policy/prepare.ts';
import { createToolchain } from '../../../src/policy/toolchain/toolchain.ts';
import type { LoadedPolicy, PolicyInput } from '../../../src/types.ts';
import { policyConfig } from '../../support/policy-config.ts';
import { policyInput } from '../input.ts';
import { type Case, cases, type EngineName } from './cases.ts';

type PolicyOptions = Partial<Omit<PolicyConfig, 'name'>>;

export interface EngineUnderTest {
  readonly engine: EngineName;
  /** Of texts: a directory below `policies/`. */
  readonly kind: 'rego' | 'cedar' | 'module';
  /**
   * What the configuration of a policy needs beside its path, such as the address of a server that was started for it.
   *
   * @param directory of the policy, absolute
   */
  readonly configure?: (directory: string) => Promise<PolicyOptions>;
  /** Why none of it can run here. */
  readonly skip?: string | false;
}

export interface LoadedForTest {
  readonly loaded: LoadedPolicy;
  readonly decide: Decide;
  /** What evaluations threw. */
  readonly errors: unknown[];
}

const policies = fileURLToPath(new URL('./policies/', import.meta.url));

/** @returns loads a policy of the suite, each combination once, and closes all of them when the file's tests are over */
export function createLoader(under: EngineUnderTest) {
  const toolchain = createToolchain({ path: undefined });
  const cache = new Map<string, Promise<LoadedForTest>>();
  after(async () => {
    await toolchain.close();
    for (const loading of cache.values()) await loading.then(({ loaded }) => loaded.close()).catch(() => undefined);
  });

  return (policy: string, over: PolicyOptions = {}): Promise<LoadedForTest> => {
    const key = JSON.stringify([policy, over]);
    const loading = cache.get(key) ?? load(policy, over);
    cache.set(key, loading);
    return loading;
  };

  async function load(policy: string, over: PolicyOptions): Promise<LoadedForTest> {
    const path = join(policies, under.kind, policy);
    const configured = { path, engine: under.engine, entrypoint: 'suite', ...(await under.configure?.(path)) };
    const config = policyConfig({ ...configured, ...over });
    const engine = await createEngine(config);
    const { entrypoint, mode, denyListOperations } = config;
    const prepared = await preparePolicy({ path, entrypoint, toolchain, needs: engine.needs });
    const { loaded } = await loadIsolated(prepared.policy, { config, engine, bytes: 0, onLost() {}, onMoved() {} });
    const errors: unknown[] = [];
    const decide = createDecider({
      engine: engine.name,
      policy: () => loaded,
      entrypoint,
      mode,
      denyListOperations,
      onError: (error) => errors.push(error),
    });
    return { loaded, decide, errors };
  }
}

export function testEngine(under: EngineUnderTest): void {
  const { engine, skip = false } = under;
  const load = createLoader(under);
  const loadFor = ({ policy, entrypoint, mode }: Pick<Case, 'policy' | 'entrypoint' | 'mode'>) =>
    load(policy, { ...(entrypoint && { entrypoint }), ...(mode && { mode }) });

  for (const one of cases) {
    test(`${engine}: ${one.title}`, { skip: skip || one.skip?.[engine] || false }, async () => {
      const { decide, errors } = await loadFor(one);
      const before = errors.length;
      const { codes, reasons, ...expected } = one.expected;
      const decision = await decide(inputOf(one));
      const found = Object.fromEntries(Object.keys(expected).map((member) => [member, Reflect.get(decision, member)]));
      assert.deepEqual(found, expected, JSON.stringify(decision.reasons));
      assert.deepEqual(decision.reasons.map(({ code }) => code).toSorted(), codes.toSorted());
      if (reasons !== undefined) assert.deepEqual(decision.reasons.toSorted(byCode), reasons.toSorted(byCode));
      assert.equal(errors.length - before, decision.result === 'error' ? 1 : 0, String(errors.at(-1)));
      assert.equal(decision.engine, engine);
      assert.notEqual(decision.revision, '');
    });
  }

  test(`${engine}: requests that are decided at the same time do not get each other's decision`, { skip }, async () => {
    const { decide } = await load('allow');
    const models = Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? 'tiny' : `model-${i}`));
    const decisions = await Promise.all(
      models.map((model, i) => decide(policyInput({ model, decision_id: `d-${i}` }))),
    );
    assert.deepEqual(
      decisions.map(({ allowed, decisionId }) => [allowed, decisionId]),
      models.map((model, i) => [model === 'tiny', `d-${i}`]),
    );
  });

  test(`${engine}: one that fails among others that do not fails alone`, { skip }, async () => {
    const { decide } = await load('error');
    const models = Array.from({ length: 20 }, (_, i) => (i % 4 === 0 ? 'broken' : 'tiny'));
    for (let round = 0; round < 3; round += 1) {
      const decisions = await Promise.all(models.map((model) => decide(policyInput({ model }))));
      const expected = models.map((model) => (model === 'tiny' ? 'allow' : 'error'));
      assert.deepEqual(
        decisions.map(({ result }) => result),
        expected,
        `round ${round}`,
      );
    }
  });

  test(`${engine}: what a policy reads is said, or that it may read everything`, { skip }, async () => {
    const { loaded } = await load('content');
    assert.ok(loaded.reads.all || loaded.reads.members.has('messages'));
  });

  test(`${engine}: the shape is said or unknown, never another one`, { skip }, async () => {
    for (const [policy, shape] of [
      ['allow', 'allow'],
      ['deny-list', 'deny_list'],
    ] as const) {
      const { loaded } = await load(policy);
      // Cedar always says allow or deny, a deny-list there too.
      const said = under.kind === 'cedar' ? 'allow' : shape;
      assert.ok(['unknown', said].includes(loaded.shape('suite')), loaded.shape('suite'));
      assert.equal(loaded.shape('elsewhere'), 'unknown');
      assert.ok(loaded.entrypoints.includes('suite'));
    }
  });

  test(`${engine}: the input is left as it was`, { skip }, async () => {
    const { decide } = await load('reasons');
    const input = policyInput({ model: 'forbidden', message_count: 11 });
    const before = structuredClone(input);
    await decide(input);
    assert.deepEqual(input, before);
  });

  if (under.kind === 'rego') testDigits(under, load);

  test(`${engine}: every case that it does not skip has its policy`, { skip }, () => {
    const missing = cases.filter(
      (one) => one.skip?.[engine] === undefined && !existsSync(join(policies, under.kind, one.policy)),
    );
    assert.deepEqual(
      missing.map(({ policy }) => policy),
      [],
    );
  });
}

/** For engines of Rego: whole numbers beyond those that JavaScript has, into the engine, through its data, and out of it. */
function testDigits({ engine, skip = false }: EngineUnderTest, load: ReturnType<typeof createLoader>): void {
  const principal = (account: unknown) => ({ ...policyInput().principal, claims: { account } });

  for (const number of ['9007199254740993', '-9007199254740993', '123456789012345678901234567890']) {
    test(`${engine}: ${number} of a claim is found in the data, and its neighbour is not`, { skip }, async () => {
      const { decide } = await load('digits');
      const ask = (account: unknown) => decide(policyInput({ principal: principal(account) }));
      assert.equal((await ask(JSON.rawJSON(number))).allowed, true);
      assert.equal((await ask(JSON.rawJSON(number.replace(/.$/, '7')))).allowed, false);
      assert.equal((await ask(Number(number))).allowed, false);
    });

    test(`${engine}: ${number} comes out of a policy with all its digits`, { skip }, async () => {
      const { decide } = await load('digits');
      const { dynamicMetadata } = await decide(policyInput({ principal: principal(JSON.rawJSON(number)) }));
      assert.equal(JSON.stringify(dynamicMetadata), `{"account":${number}}`);
    });
  }

  test(`${engine}: numbers that JavaScript has come out as numbers`, { skip }, async () => {
    const { decide } = await load('digits');
    const account = [9_007_199_254_740_991, 0.1, 1e100, -0.5, 1_750_000_000_123_456_000, 1];
    const { dynamicMetadata } = await decide(policyInput({ principal: principal(account) }));
    assert.deepEqual(dynamicMetadata, { account });
  });
}

function inputOf({ input, without = [] }: Case): PolicyInput {
  const whole = policyInput(input);
  for (const member of without) Reflect.deleteProperty(whole, member);
  return whole;
}

function byCode(a: { readonly code: string }, b: { readonly code: string }): number {
  return a.code < b.code ? -1 : 1;
}
