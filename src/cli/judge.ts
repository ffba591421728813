/** Has the configured engine decide on what was asked, through the code that serves. */

import { readClients } from '../config/clients-file.ts';
import { readKeyAnew } from '../config/keys.ts';
import { readSigningKeyAnew } from '../config/token-endpoint.ts';
import type { Config } from '../configured/config.ts';
import type { Decide } from '../decision/decide.ts';
import { type ActivePolicy, createDeciding } from '../delivery/active-policy.ts';
import { loadPolicy } from '../delivery/load-policy.ts';
import { type LiveIdentity, startLiveIdentity } from '../identity/live-identity.ts';
import { type Rehearsed, rehearse } from '../rehearsal.ts';
import type { DecidingPolicy, InputNeeds, PolicyInput } from '../types.ts';
import type { Question } from './question.ts';

export interface Verdict extends Rehearsed {
  /** Why an evaluation failed, which a caller would not be told. */
  readonly error: string | undefined;
  /** Of an input document: members that the policy reads and that it does not have. */
  readonly absent: readonly string[];
}

export interface Judge {
  readonly decide: Decide;
  readonly policy: ActivePolicy;
  /** The policy as requests see it. */
  readonly deciding: DecidingPolicy;
  /** Why the last evaluation failed, if it did. */
  failure(): string | undefined;
}

/** The policy's own tests are not run: nothing is enforced here, and an author asks why one fails. @throws PolicyError */
export async function createJudge(config: Pick<Config, 'policies'>, searchPath: string | undefined): Promise<Judge> {
  const policy = await loadPolicy(config, searchPath, { runTests: false });
  let failed: string | undefined;
  const deciding = createDeciding(policy, (error) => {
    failed ??= error instanceof Error ? error.message : String(error);
  });
  return {
    policy,
    deciding,
    decide: (input) => {
      failed = undefined;
      return deciding.decide(input);
    },
    failure: () => failed,
  };
}

/** @throws PolicyError */
export async function judge(question: Question, searchPath: string | undefined): Promise<Verdict> {
  const { config, about, principal, nowNs } = question;
  const { policy, deciding, decide, failure } = await createJudge(config, searchPath);
  let identity: Pick<LiveIdentity, 'identify' | 'close'> | undefined;
  try {
    if ('input' in about) {
      // A decision has a clock; every other member that is missing stays missing, as policies must cope with.
      const input: PolicyInput = { ...about.input, now_ns: nowNs ?? about.input.now_ns ?? Date.now() * 1e6 };
      const decision = await decide(input);
      return {
        status: decision.allowed ? undefined : decision.httpStatus,
        refusal: undefined,
        principal: undefined,
        input,
        decision,
        changes: [],
        error: failure(),
        absent: findAbsent(policy.reads, about.input),
      };
    }
    let judged: PolicyInput | undefined;
    identity =
      principal === undefined ? await readIdentity(config.identity) : { identify: () => principal, close: () => {} };
    const { identify } = identity;
    const rehearsed = await rehearse(
      {
        config,
        identify,
        policy: {
          ...deciding,
          decide: (input) => {
            judged = nowNs === undefined ? input : { ...input, now_ns: nowNs };
            return decide(judged);
          },
        },
        clientIp: question.clientIp,
      },
      about.request,
    );
    return { ...rehearsed, input: judged ?? rehearsed.input, error: failure(), absent: [] };
  } finally {
    identity?.close();
    await policy.close();
  }
}

/** As it serves, but for a moment: an issuer is asked only for a token of its own. @throws ConfigError */
function readIdentity(config: Config['identity']): Promise<Pick<LiveIdentity, 'identify' | 'close'>> {
  return startLiveIdentity(config, {
    readKey: readKeyAnew,
    readSigningKey: readSigningKeyAnew,
    readClients,
    onWrongSecret: () => {},
    onRefresh: () => {},
    onReload: () => {},
    isLazy: true,
  });
}

function findAbsent(reads: InputNeeds, input: PolicyInput): readonly string[] {
  return [...reads.members].filter((member) => !(member in input)).sort();
}
