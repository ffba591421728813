/**
 * What every engine must make of the same requests. A case names its policy, which stands once for each kind of text in
 * `policies/<kind>/<policy>/`; an engine that can't have a case says here why.
 */

import type { PolicyConfig } from '../../../src/configured/policy.ts';
import type { Decision, PolicyInput } from '../../../src/types.ts';
import { modelRef } from '../input.ts';

export type EngineName = 'wasm' | 'topdown' | 'opa' | 'cedar' | 'module';

export interface Case {
  readonly title: string;
  readonly policy: string;
  /** `suite` if there is none. */
  readonly entrypoint?: string;
  /** Believed only by engines that can't see the shape of the policy. */
  readonly mode?: PolicyConfig['mode'];
  readonly input: Partial<PolicyInput>;
  /** Members that the input is without. */
  readonly without?: ReadonlyArray<keyof PolicyInput>;
  readonly expected: Expected;
  readonly skip?: Readonly<Partial<Record<EngineName, string>>>;
}

export interface Expected extends Partial<Decision> {
  readonly allowed: boolean;
  readonly httpStatus: number;
  /** Of the reasons, in any order. */
  readonly codes: readonly string[];
}

const allowed: Expected = { allowed: true, result: 'allow', httpStatus: 200, codes: [] };
const denied = (...codes: string[]): Expected => ({ allowed: false, result: 'deny', httpStatus: 403, codes });
const failed: Expected = { allowed: false, result: 'error', httpStatus: 500, codes: ['policy_error'] };

const alice = { id: 'alice', kind: 'jwt', roles: ['developer'], permissions: [], claims: {} };

export const cases: readonly Case[] = [
  { title: 'an allow that holds', policy: 'allow', input: { model: 'tiny' }, expected: allowed },
  { title: 'an allow that does not', policy: 'allow', input: { model: 'other' }, expected: denied('policy_denied') },
  {
    title: 'a caller in another role',
    policy: 'allow',
    input: { model: 'tiny', principal: { ...alice, roles: ['guest'] } },
    expected: denied('policy_denied'),
  },
  {
    title: 'a caller without roles',
    policy: 'allow',
    input: { model: 'tiny', principal: { ...alice, roles: [] } },
    expected: denied('policy_denied'),
  },
  {
    title: 'a request without the member that an allow compares',
    policy: 'allow',
    input: {},
    without: ['model'],
    expected: denied('policy_denied'),
  },
  {
    title: 'a request without the member that a denial compares',
    policy: 'unknown-model',
    input: {},
    without: ['model'],
    expected: denied('policy_denied'),
  },
  {
    title: 'a rule as the entrypoint that is true',
    policy: 'rule',
    entrypoint: 'suite/allow',
    input: { model: 'tiny' },
    expected: allowed,
  },
  {
    title: 'a rule as the entrypoint that is false',
    policy: 'rule',
    entrypoint: 'suite/allow',
    input: { model: 'other' },
    expected: denied('policy_denied'),
  },
  {
    title: 'a rule as the entrypoint that is undefined',
    policy: 'rule',
    entrypoint: 'suite/allow',
    input: { model: 'third' },
    skip: { cedar: 'what no Cedar policy permits is denied, never undefined' },
    expected: denied('policy_undefined'),
  },
  { title: 'an allow that is defined', policy: 'undefined', input: { model: 'tiny' }, expected: allowed },
  {
    title: 'an allow that is undefined',
    policy: 'undefined',
    input: { model: 'other' },
    skip: { cedar: 'what no Cedar policy permits is denied, never undefined' },
    expected: denied('policy_undefined'),
  },
  {
    title: 'an allow that is a text',
    policy: 'not-boolean',
    input: { options: { answer: 'yes' } },
    skip: { cedar: 'Cedar allows or denies and says nothing else' },
    expected: denied('policy_malformed'),
  },
  {
    title: 'an allow that is a number',
    policy: 'not-boolean',
    input: { options: { answer: 1 } },
    skip: { cedar: 'Cedar allows or denies and says nothing else' },
    expected: denied('policy_malformed'),
  },
  {
    title: 'an allow that is null',
    policy: 'not-boolean',
    input: { options: { answer: null } },
    skip: { cedar: 'Cedar allows or denies and says nothing else' },
    expected: denied('policy_malformed'),
  },
  {
    title: 'no denial that holds beside an allow',
    policy: 'reasons',
    input: { model: 'tiny', message_count: 1 },
    expected: allowed,
  },
  {
    title: 'a denial with code and message beside an allow',
    policy: 'reasons',
    input: { model: 'forbidden', message_count: 1 },
    expected: {
      ...denied('model_not_allowed', 'see_handbook'),
      reasons: [
        { code: 'model_not_allowed', message: 'The model forbidden is not for you.' },
        { code: 'see_handbook', message: 'see_handbook' },
      ],
    },
  },
  {
    title: 'a denial that is a code',
    policy: 'reasons',
    input: { model: 'tiny', message_count: 11 },
    expected: denied('too_many_messages'),
  },
  {
    title: 'a denial that is text for people',
    policy: 'reasons',
    input: { model: 'tiny', operation: 'embed' },
    expected: {
      ...denied('policy_denied'),
      reasons: [{ code: 'policy_denied', message: 'Nobody may embed, ask the owner.' }],
    },
  },
  {
    title: 'several denials at once',
    policy: 'reasons',
    input: { model: 'forbidden', message_count: 11 },
    expected: denied('model_not_allowed', 'too_many_messages', 'see_handbook'),
  },
  {
    title: 'a denial that is true',
    policy: 'deny-boolean',
    input: { model: 'forbidden' },
    expected: denied('policy_denied'),
  },
  { title: 'a denial that is not true', policy: 'deny-boolean', input: { model: 'tiny' }, expected: allowed },
  {
    title: 'a deny-list that denies',
    policy: 'deny-list',
    mode: 'deny_list',
    input: { model: 'forbidden' },
    expected: denied('model_not_allowed'),
  },
  {
    title: 'a deny-list that is silent',
    policy: 'deny-list',
    mode: 'deny_list',
    input: { model: 'tiny' },
    expected: allowed,
  },
  {
    title: 'a deny-list that is silent on a management operation',
    policy: 'deny-list',
    mode: 'deny_list',
    input: { model: 'tiny', operation: 'models.pull' },
    skip: { cedar: 'Cedar has no deny-lists: what is permitted is permitted by a policy' },
    expected: denied('deny_list_operation'),
  },
  {
    title: 'a deny-list that is silent on a cloud model',
    policy: 'deny-list',
    mode: 'deny_list',
    input: { model: 'tiny', model_refs: [modelRef('cloud')] },
    skip: { cedar: 'Cedar has no deny-lists: what is permitted is permitted by a policy' },
    expected: denied('deny_list_operation'),
  },
  { title: 'an evaluation that fails', policy: 'error', input: { model: 'broken' }, expected: failed },
  { title: 'an evaluation after one that failed', policy: 'error', input: { model: 'tiny' }, expected: allowed },
  {
    title: 'an obligation that nobody knows',
    policy: 'obligation',
    input: { model: 'routed' },
    expected: denied('unknown_obligation'),
  },
  { title: 'no obligation', policy: 'obligation', input: { model: 'tiny' }, expected: allowed },
  {
    title: 'a status, a body and headers of a denial',
    policy: 'status',
    input: { model: 'hidden' },
    expected: {
      ...denied('policy_denied'),
      httpStatus: 404,
      body: { error: 'no such model' },
      headers: { 'x-support': 'help@example.org' },
    },
  },
  {
    title: 'a status that is no denial',
    policy: 'status',
    input: { model: 'lying' },
    skip: { cedar: 'refused when the policy is loaded' },
    expected: denied('policy_malformed'),
  },
  {
    title: 'headers and metadata of an allow',
    policy: 'headers',
    input: { model: 'tiny' },
    expected: {
      ...allowed,
      headers: { 'x-tenant': 'blue' },
      requestHeadersToRemove: ['user-agent'],
      responseHeadersToAdd: { 'x-judged': 'yes' },
      dynamicMetadata: { team: 'blue', cost: 1.5 },
    },
  },
  {
    title: 'a header that no policy may set',
    policy: 'headers',
    input: { model: 'forging' },
    expected: denied('policy_malformed'),
  },
  {
    title: 'content that a policy reads and minds',
    policy: 'content',
    input: {
      messages: [
        { role: 'user', content: 'so' },
        { role: 'user', content: 'das ist geheim 🔑!' },
      ],
    },
    expected: denied('policy_denied'),
  },
  {
    title: 'content that a policy reads and does not mind',
    policy: 'content',
    input: { messages: [{ role: 'user', content: 'das ist geheim' }] },
    expected: allowed,
  },
  { title: 'a request without content', policy: 'content', input: {}, expected: allowed },
  { title: 'data of the policy', policy: 'data', input: { model: 'größer' }, expected: allowed },
  { title: 'data that has no such entry', policy: 'data', input: { model: 'groß' }, expected: denied('policy_denied') },
  {
    title: 'data that lists nothing for the caller',
    policy: 'data',
    input: { model: 'tiny', principal: { ...alice, id: 'bob' } },
    expected: denied('policy_denied'),
  },
  {
    title: 'data that does not know the caller',
    policy: 'data',
    input: { model: 'tiny', principal: { ...alice, id: 'constructor' } },
    expected: denied('policy_denied'),
  },
  {
    title: 'the clock of the decision',
    policy: 'clock',
    input: { now_ns: 1_750_000_000_123_456_000 },
    expected: allowed,
    skip: {
      opa: 'a remote OPA reads its own clock',
      cedar: 'Cedar has no clock of its own',
      module: 'a module has the clock of its own process',
    },
  },
];
