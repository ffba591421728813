/** Large, slow and many: what a caller can't take from others. Times are short here; the bounds are the configured ones. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, it as define, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { atBest, patient } from '../support/at-best.ts';
import { chunked, type Hostile, judge, startHostile } from './hostile.ts';

// Times are short here: what a held up process spoils is carried out anew.
const it = patient(define);

const body = '{"model":"tiny"}';
const length = `Content-Length: ${body.length}\r\n`;

/** A document of so many bytes. */
function sized(bytes: number): string {
  const rest = bytes - '{"model":"tiny","prompt":""}'.length;
  return `{"model":"tiny","prompt":"${'x'.repeat(rest)}"}`;
}

describe('one body', () => {
  let hostile: Hostile;
  before(async () => {
    hostile = await startHostile({ limits: { body: 4000 }, timeouts: { headers: 1000, body: 300 } });
  });
  after(() => hostile.close());
  const post = (headers: string, content: string) => hostile.request('POST /api/generate', headers, content);
  const announced = (content: string) => `Content-Length: ${content.length}\r\n`;

  it('of exactly limits.body passes, one byte more does not, by a length and by chunks', async () => {
    for (const [bytes, passes] of [
      [4000, true],
      [4001, false],
    ] as const) {
      const content = sized(bytes);
      const expected = passes
        ? ({ answers: [[200]], forwarded: [content] } as const)
        : ({ answers: [[413, 'body_too_large']] } as const);
      await judge(hostile, { ...expected, name: 'length', bytes: post(announced(content), content), closed: false });
      const inChunks = post('Transfer-Encoding: chunked\r\n', chunked(content));
      await judge(hostile, { ...expected, name: 'chunks', bytes: inChunks, closed: false });
    }
  });

  it('that is announced too large is refused before it comes, and the connection ends if it does not', async () => {
    for (const size of ['4001', '999999999', '18446744073709551615']) {
      const bytes = post(`Content-Length: ${size}\r\n`, '');
      const refused = { name: size, bytes, answers: [[413, 'body_too_large']] as const };
      const tookMs = await atBest(1000, async () => {
        const started = performance.now();
        await judge(hostile, { ...refused, closed: false });
        return performance.now() - started;
      });
      assert.ok(tookMs < 1000, `${tookMs} ms`);
      await judge(hostile, { ...refused, closed: true, settleMs: 10_000 });
    }
  });

  it('whose sender goes on for megabytes is answered all the same', async () => {
    const large = Buffer.alloc(8 << 20, 'x');
    const head = Buffer.from(post(`Content-Length: ${large.length}\r\n`, ''), 'latin1');
    const { answers, events, forwarded } = await hostile.send(Buffer.concat([head, large]));
    assert.match(answers[0]?.startLine ?? '', /413/);
    assert.deepEqual([events.map(({ error }) => error), forwarded], [['body_too_large'], []]);
  });

  it('that comes too slowly is given up, though it never stops', async () => {
    const pieces = [...body].map((byte) => ({ afterMs: 40, bytes: byte }));
    for (const [headers, content] of [
      [length, pieces],
      ['Transfer-Encoding: chunked\r\n', pieces.map(({ bytes }) => ({ afterMs: 40, bytes: `1\r\n${bytes}\r\n` }))],
    ] as const) {
      const bytes = post(headers, '');
      await judge(hostile, {
        name: headers,
        bytes,
        later: content,
        answers: [[408, 'request_timeout']],
        // What is left of it comes while it is thrown away, and so its end is known.
        closed: false,
        settleMs: 40,
      });
    }
  });

  it('that comes slowly, but in time, is one body', async () => {
    const later = [...body].map((byte) => ({ afterMs: 5, bytes: byte }));
    await judge(hostile, {
      name: 'slow',
      bytes: post(length, ''),
      later,
      answers: [[200]],
      forwarded: [body],
      closed: false,
    });
  });

  it('that nobody sends is given up too', async () => {
    for (const headers of [length, 'Transfer-Encoding: chunked\r\n']) {
      await judge(hostile, {
        name: headers,
        bytes: post(headers, ''),
        answers: [[408, 'request_timeout']],
        closed: true,
        settleMs: 10_000,
      });
    }
  });
});

describe('a head', () => {
  let hostile: Hostile;
  before(async () => {
    hostile = await startHostile({ timeouts: { headers: 600, body: 300 } });
  });
  after(() => hostile.close());
  const timedOut = { name: 'slow', answers: [[408, 'request_timeout']] as const, closed: true };

  it('that comes a byte at a time is given up', async () => {
    const bytes = hostile.request('POST /api/chat', length, body);
    const later = [...bytes.slice(1, 60)].map((byte) => ({ afterMs: 40, bytes: byte }));
    await judge(hostile, { ...timedOut, bytes: bytes.slice(0, 1), later });
  });

  it('that never ends is given up, wherever it stops', async () => {
    for (const part of [
      'P',
      'POST /api/chat',
      'POST /api/chat HTTP/1.1\r\n',
      'POST /api/chat HTTP/1.1\r\nHost: x\r\nX-A: ',
    ]) {
      await judge(hostile, { ...timedOut, bytes: part });
    }
  });

  it('that never ends behind a request that was answered is given up as well', async () => {
    const bytes = hostile.request('POST /api/chat', length, body);
    await judge(hostile, {
      ...timedOut,
      bytes,
      later: [{ afterMs: 100, bytes: 'GET / HTTP/1.1\r\nHost: x\r\n' }],
      answers: [[200], [408, 'request_timeout']],
      forwarded: [body],
    });
  });

  it('that nobody began is no request: a connection that says nothing is closed, and nothing is told', async () => {
    const { events, forwarded, closed } = await hostile.send('', { events: 0 });
    assert.deepEqual([events, forwarded, closed], [[], [], true]);
  });
});

describe('all bodies', () => {
  it('are bounded together: past limits.bodies_total 503, and room again when they are gone', async (t) => {
    const hostile = await startHostile({
      limits: { body: 60_000, bodiesTotal: 64_000, inFlight: 100 },
      timeouts: { body: 4000 },
    });
    t.after(() => hostile.close());
    const content = sized(40_000);
    const post = hostile.request('POST /api/generate', `Content-Length: ${content.length}\r\n`, content);
    const holders: net.Socket[] = [];
    t.after(() => {
      for (const socket of holders) socket.destroy();
    });
    const hold = async () => {
      const socket = net.connect(hostile.sidecar.port, '127.0.0.1');
      socket.on('error', () => undefined);
      holders.push(socket);
      // All but the last byte.
      socket.write(post.slice(0, -1));
      await sleep(60);
      return socket;
    };

    const first = await hold();
    const refused = { name: 'all', bytes: post, answers: [[503, 'overloaded']] as const, closed: false };
    await judge(hostile, refused);
    // A small one has room beside it.
    const small = hostile.request('POST /api/chat', length, body);
    await judge(hostile, { name: 'small', bytes: small, answers: [[200]], forwarded: [body], closed: false });

    // One that leaves gives its room back, and so does one that is answered.
    first.destroy();
    await hostile.sidecar.waitForEvents(3);
    for (let round = 0; round < 3; round += 1) {
      await judge(hostile, { name: 'again', bytes: post, answers: [[200]], forwarded: [content], closed: false });
    }
    const outcomes = hostile.sidecar.events.map(({ status, error }) => `${status} ${error}`);
    assert.deepEqual(outcomes.slice(0, 3), ['503 overloaded', '200 undefined', '499 client_closed_request']);
  });

  it('that are announced take no room from others until they come', async (t) => {
    const hostile = await startHostile({ limits: { body: 60_000, bodiesTotal: 64_000, inFlight: 100 } });
    t.after(() => hostile.close());
    const sockets = Array.from({ length: 20 }, () => {
      const socket = net.connect(hostile.sidecar.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(hostile.request('POST /api/generate', 'Content-Length: 60000\r\n'));
      return socket;
    });
    t.after(() => {
      for (const socket of sockets) socket.destroy();
    });
    await sleep(60);
    const content = sized(50_000);
    const bytes = hostile.request('POST /api/generate', `Content-Length: ${content.length}\r\n`, content);
    await judge(hostile, { name: 'one', bytes, answers: [[200]], forwarded: [content], closed: false });
  });
});
