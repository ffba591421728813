/**
 * Keys of an issuer are exchanged at 200 requests a second: a real HTTPS server with the keys, real sockets. `ROTATIONS` says
 * how often (`npm run test:rotation`: 12 times, two of them without any notice).
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { AuditEvent } from '../../src/types.ts';
import { startAnsweringUpstream } from '../support/answering-upstream.ts';
import { startTestSidecar } from '../support/in-process.ts';
import { createIssuerKey, type IssuerKey, startIssuer, type TestIssuer } from '../support/issuer.ts';
import { audience, inSeconds, signedToken } from './tokens.ts';

const rotations = Number(process.env['ROTATIONS'] ?? 2);
/** Between two requests, ms: 200 in a second. */
const everyMs = 5;
const refreshMs = 200;
const graceMs = 1000;
/** A key that nobody was told of is looked for once in 30 s; the sidecar's begin when the first request of it is there. */
const lookEveryMs = 31_000;
/** Requests that a machine which is late may have under way. */
const mostUnderWay = 500;

interface Sent {
  readonly kid: string;
  /** `remembered`: a token that was sent before. */
  readonly kind: 'fresh' | 'remembered' | 'made up';
}

/** When a key was taken out of the set, and by when the sidecar has asked for the set since. */
interface Removal {
  readonly atMs: number;
  knownMs: number;
}

test('no request is refused while keys rotate, and none of a removed key is let in after its grace', async (t) => {
  const issuer = await startIssuer(t);
  let current = createIssuerKey('key 0');
  issuer.publish(current);
  const sidecar = await startSidecar(t, issuer);
  const load = startLoad(t, sidecar.url, issuer, current);
  const removals = new Map<string, Removal>();
  const startedMs = Date.now();
  /** The last moment in which a token with an unknown key id may have made the sidecar look. */
  let unknownMs = Number.NEGATIVE_INFINITY;
  let withoutNotice = 0;

  for (let number = 1; number <= rotations; number += 1) {
    const next = createIssuerKey(`key ${number}`);
    issuer.publish(current, next);
    if (Date.now() >= unknownMs + lookEveryMs) {
      // Used in the moment in which it is published: its first requests make the sidecar ask, or a question that was due
      // has just told it; then the look is left to the key ids that are made up below.
      withoutNotice += 1;
    } else {
      load.pester(true);
      await askedAnew(issuer);
    }
    load.use(next, current);
    await sleep(refreshMs);
    load.pester(false);
    unknownMs = Date.now();

    const removal: Removal = { atMs: Date.now(), knownMs: Number.POSITIVE_INFINITY };
    issuer.publish(next);
    removals.set(current.kid, removal);
    await askedAnew(issuer);
    removal.knownMs = Date.now();
    await sleep(graceMs + refreshMs);
    load.use(next, next);
    current = next;
    if (rotations > 10 && number === rotations / 2) await sleep(unknownMs + lookEveryMs - Date.now());
  }

  const sent = await load.stop();
  const tookMs = Date.now() - startedMs;
  const events = await sidecar.waitForEvents(sent.size);
  const counts = new Map<string, number>();
  const wrong: unknown[] = [];
  for (const { request_id: id, time, status } of events) {
    const facts = sent.get(id);
    assert.ok(facts !== undefined);
    const expected = expect(facts, Date.parse(time), removals.get(facts.kid));
    const name = `${facts.kind} ${expected}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (expected !== 'either' && status !== expected) wrong.push({ ...facts, time, status, expected });
  }
  assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} of ${sent.size} requests were answered wrongly`);
  for (const name of ['fresh 200', 'remembered 200', 'fresh 401', 'remembered 401', 'made up 401'])
    assert.ok((counts.get(name) ?? 0) >= rotations, `${name}: ${counts.get(name)}`);
  t.diagnostic(
    `${rotations} rotations, ${withoutNotice} without notice; ${Math.round((1000 * sent.size) / tookMs)} requests a second, ` +
      `${issuer.asked.length} questions; ${JSON.stringify(Object.fromEntries(counts))}`,
  );
});

/** @param atMs when the request's head had come */
function expect({ kind }: Sent, atMs: number, removal: Removal | undefined): 200 | 401 | 'either' {
  if (kind === 'made up') return 401;
  if (removal === undefined || atMs < removal.atMs + graceMs) return 200;
  return atMs >= removal.knownMs + graceMs ? 401 : 'either';
}

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
    limits: { inFlight: 4 * mostUnderWay },
    timeouts: { firstByte: 60_000, headers: 60_000, body: 60_000, idle: 60_000, connect: 60_000 },
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

function startLoad(t: TestContext, url: string, issuer: TestIssuer, first: IssuerKey) {
  const sent = new Map<AuditEvent['request_id'], Sent>();
  const underWay = new Set<Promise<void>>();
  /** Of each key the first token. */
  const known = new Map<string, string>();
  let used: readonly [IssuerKey, IssuerKey] = [first, first];
  let pestering = false;
  let turn = 0;
  const sendNext = (): void => {
    turn += 1;
    if (pestering && turn % 10 === 0) send({ kid: `made up ${turn}`, kind: 'made up' }, madeUp(`made up ${turn}`));
    const key = used[turn % 4 === 0 ? 1 : 0];
    const token = turn % 3 === 0 ? known.get(key.kid) : undefined;
    send({ kid: key.kid, kind: token === undefined ? 'fresh' : 'remembered' }, token ?? tokenOf(key));
  };
  const startedMs = Date.now();
  // A machine that is late makes up for it.
  const timer = setInterval(() => {
    for (let due = Math.floor((Date.now() - startedMs) / everyMs); turn < due; ) {
      if (underWay.size < mostUnderWay) sendNext();
      else turn = due;
    }
  }, everyMs);
  t.after(() => clearInterval(timer));

  return {
    /** One request in four is of the other key. */
    use: (key: IssuerKey, other: IssuerKey) => {
      used = [key, other];
    },
    pester: (on: boolean) => {
      pestering = on;
    },
    async stop() {
      clearInterval(timer);
      await Promise.all(underWay);
      return sent;
    },
  };

  function tokenOf(key: IssuerKey): string {
    const claims = { sub: `caller ${turn}`, iss: issuer.url, aud: audience, exp: inSeconds(600), roles: ['developer'] };
    const token = signedToken(key.algorithm, key.privateKey, claims, { kid: key.kid });
    if (!known.has(key.kid)) known.set(key.kid, token);
    return token;
  }

  function madeUp(kid: string): string {
    return signedToken('ES256', first.privateKey, { sub: 'x', iss: issuer.url }, { kid });
  }

  function send(facts: Sent, token: string): void {
    const id = `${sent.size}`;
    sent.set(id, facts);
    const headers = { authorization: `Bearer ${token}`, 'x-request-id': id };
    const ended = fetch(`${url}/api/version`, { headers })
      .then(async (answer) => {
        await answer.arrayBuffer();
      })
      .finally(() => underWay.delete(ended));
    underWay.add(ended);
  }
}
