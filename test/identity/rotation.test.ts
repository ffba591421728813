/**
 * Keys of an issuer are exchanged at 200 requests a second: a real HTTPS server with the keys, real sockets. `ROTATIONS` says
 * how often (`npm run test:rotation`: 12 times, two of them without any notice).
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { startAnsweringUpstream } from '../support/answering-upstream.ts';
import { startTestSidecar } from '../support/in-process.ts';
import { createIssuerKey, type IssuerKey, startIssuer, type TestIssuer } from '../support/issuer.ts';
import { audience, inSeconds, signedToken } from './tokens.ts';

const rotations = Number(process.env['ROTATIONS'] ?? 2);
/** Between two requests, ms: 200 in a second. */
const everyMs = 5;
const refreshMs = 200;
const graceMs = 1500;
/** A key that nobody was told of is looked for once in so long. */
const lookEveryMs = 30_000;

interface Sent {
  readonly kid: string;
  /** `remembered`: a token that was sent before. */
  readonly kind: 'fresh' | 'remembered' | 'made up';
  readonly expected: number;
  readonly status: number;
}

test('no request is refused while keys rotate, and none of a removed key is let in after its grace', async (t) => {
  const issuer = await startIssuer(t);
  let current = createIssuerKey('key 0');
  issuer.publish(current);
  const sidecar = await startSidecar(t, issuer);
  const startedMs = Date.now();
  const load = startLoad(sidecar.url, issuer, current);
  let lookedMs = Number.NEGATIVE_INFINITY;
  let withoutNotice = 0;

  for (let number = 1; number <= rotations; number += 1) {
    const next = createIssuerKey(`key ${number}`);
    issuer.publish(current, next);
    if (Date.now() >= lookedMs + lookEveryMs) {
      // Used in the moment in which it is published: its first requests make the sidecar ask.
      lookedMs = Date.now();
      withoutNotice += 1;
    } else {
      load.pester(true);
      await askedAnew(issuer);
    }
    load.use(next);
    await sleep(refreshMs);
    load.pester(false);

    // From here on the former key is gone, and its tokens count for the grace.
    const removedMs = Date.now();
    issuer.publish(next);
    load.alsoUse(current, removedMs + graceMs / 2);
    await sleep(removedMs + graceMs / 2 - Date.now());
    await load.settled();
    await askedAnew(issuer);
    await sleep(graceMs);
    await load.mustFail(current);
    current = next;
    if (number < rotations && rotations > 10 && number % 6 === 0) await sleep(lookedMs + lookEveryMs - Date.now());
  }

  const sent = await load.stop();
  const wrong = sent.filter(({ status, expected }) => status !== expected);
  assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} of ${sent.length} requests were answered wrongly`);
  const count = (kind: Sent['kind']): number => sent.filter((each) => each.kind === kind).length;
  for (const kind of ['fresh', 'remembered', 'made up'] as const) assert.ok(count(kind) > rotations, kind);
  t.diagnostic(
    `${rotations} rotations, ${withoutNotice} without notice: ${count('fresh')} requests with new tokens, ` +
      `${count('remembered')} with known ones, ${count('made up')} with made-up keys; ${issuer.asked.length} questions; ` +
      `${Math.round((1000 * sent.length) / (Date.now() - startedMs))} requests a second`,
  );
});

async function startSidecar(t: TestContext, issuer: TestIssuer) {
  const sidecar = await startTestSidecar({
    upstream: await startAnsweringUpstream(t),
    issuers: [
      issuer.config({
        jwksUrl: new URL(`${issuer.url}/keys`),
        refresh: refreshMs,
        refreshMin: refreshMs,
        refreshMax: refreshMs,
        // Nothing here is about an issuer that does not answer, and machines of tests can be slow.
        timeout: 20_000,
      }),
    ],
    removedKeyGrace: graceMs,
    limits: { inFlight: 2000 },
  });
  t.after(() => sidecar.close());
  return sidecar;
}

/** Until a question that began after now was answered: a third one begins only then. */
async function askedAnew(issuer: TestIssuer): Promise<void> {
  const wanted = issuer.asked.length + 2;
  const deadline = Date.now() + 20_000;
  while (issuer.asked.length < wanted) {
    assert.ok(Date.now() < deadline, 'the sidecar asks no more');
    await sleep(10);
  }
}

function startLoad(url: string, issuer: TestIssuer, first: IssuerKey) {
  const sent: Promise<Sent>[] = [];
  const known = new Map<string, string>();
  let [used, also, alsoUntilMs, pestering, turn] = [first, first, 0, false, 0];
  const startedMs = Date.now();
  const sendNext = (): void => {
    turn += 1;
    if (pestering && turn % 10 === 0) send({ ...createMadeUpKey(turn), kind: 'made up', expected: 401 });
    const key = turn % 2 === 0 || Date.now() >= alsoUntilMs ? used : also;
    const token = turn % 3 === 0 ? known.get(key.kid) : undefined;
    send({
      kid: key.kid,
      token: token ?? tokenOf(key),
      kind: token === undefined ? 'fresh' : 'remembered',
      expected: 200,
    });
  };

  // A machine that is late makes up for it.
  const timer = setInterval(() => {
    for (let due = Math.floor((Date.now() - startedMs) / everyMs); turn < due; ) sendNext();
  }, everyMs);

  return {
    use: (key: IssuerKey) => {
      used = key;
    },
    alsoUse: (key: IssuerKey, untilMs: number) => {
      [also, alsoUntilMs] = [key, untilMs];
    },
    pester: (on: boolean) => {
      pestering = on;
    },
    settled: () => Promise.all(sent),
    /** Tokens of this key, new ones and one that was let in before. */
    async mustFail(key: IssuerKey) {
      const before = known.get(key.kid);
      assert.ok(before !== undefined);
      for (let i = 0; i < 20; i += 1) {
        send({ kid: key.kid, token: before, kind: 'remembered', expected: 401 });
        send({ kid: key.kid, token: tokenOf(key), kind: 'fresh', expected: 401 });
        await sleep(everyMs);
      }
    },
    stop() {
      clearInterval(timer);
      return Promise.all(sent);
    },
  };

  function tokenOf(key: IssuerKey): string {
    const claims = { sub: `caller ${turn}`, iss: issuer.url, aud: audience, exp: inSeconds(600), roles: ['developer'] };
    const token = signedToken(key.algorithm, key.privateKey, claims, { kid: key.kid });
    if (!known.has(key.kid)) known.set(key.kid, token);
    return token;
  }

  function createMadeUpKey(number: number): { readonly kid: string; readonly token: string } {
    const kid = `made up ${number}`;
    return { kid, token: signedToken('ES256', first.privateKey, { sub: 'x', iss: issuer.url }, { kid }) };
  }

  function send({ token, ...facts }: Omit<Sent, 'status'> & { readonly token: string }): void {
    const answered = fetch(`${url}/api/version`, { headers: { authorization: `Bearer ${token}` } }).then(
      async (answer) => {
        await answer.arrayBuffer();
        return { ...facts, status: answer.status };
      },
    );
    sent.push(answered);
  }
}
