/** Several requests on one connection: each is judged by itself, in order, and none stands behind a doubtful one. */
import assert from 'node:assert/strict';
import { after, before, it as define, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { patient } from '../support/at-best.ts';
import { chunked, type Hostile, judge, plainAnswer, startHostile } from './hostile.ts';

// Times are short here: what a held up process spoils is carried out anew.
const it = patient(define);

const policy = {
  'authz.rego': `package ollama.authz

default allow := false

allow if "developer" in input.principal.roles

allow if input.model == "open"
`,
};

const ask = (model: string) => `{"model":"${model}"}`;

describe('requests behind one another', () => {
  let hostile: Hostile;
  before(async () => {
    hostile = await startHostile({
      policy,
      timeouts: { headers: 1500, body: 300 },
      script: {
        slow: (socket) => setTimeout(() => socket.write(plainAnswer), 150),
        open: plainAnswer,
      },
    });
  });
  after(() => hostile.close());

  const post = (model: string, more = '') =>
    hostile.request('POST /api/chat', `${more}Content-Length: ${ask(model).length}\r\n`, ask(model));
  const by = (subject: string, roles: readonly string[], bytes: string) =>
    bytes.replace(/Bearer \S+/, `Bearer ${hostile.sidecar.token({ subject, roles: [...roles] })}`);

  it('are answered in their order, whichever is done first', async () => {
    const bytes = post('slow') + post('one') + hostile.request('GET /api/version') + post('two');
    await judge(hostile, {
      name: 'order',
      bytes,
      answers: [[200], [200], [200], [200]],
      forwarded: [ask('slow'), ask('one'), '', ask('two')],
      closed: false,
      // In which order they reach the upstream is not promised.
      sortForwarded: true,
    });
  });

  it('each have the credential, the rights and the record of their own', async () => {
    const bytes =
      by('alice', ['developer'], post('one')) +
      by('bob', ['guest'], post('one')) +
      post('one').replace(/Authorization.*\r\n/, '') +
      by('carol', ['guest'], post('open'));
    const { events } = await judge(hostile, {
      name: 'callers',
      bytes,
      answers: [[200], [403, 'policy_denied'], [401, 'missing_credentials'], [200]],
      forwarded: [ask('open'), ask('one')],
      sortForwarded: true,
      closed: false,
    });
    const seen = events.map(({ principal, status }) => `${principal} ${status}`).toSorted();
    assert.deepEqual(seen, ['alice 200', 'bob 403', 'carol 200', 'undefined 401']);
    assert.equal(new Set(events.map(({ request_id }) => request_id)).size, 4);
    assert.equal(new Set(events.map(({ decision_id }) => decision_id)).size, 4);
  });

  it('a refusal whose end is known leaves the next one as it is', async () => {
    const refused: ReadonlyArray<readonly [string, number, string]> = [
      [post('one', 'Content-Encoding: gzip\r\n'), 415, 'unsupported_encoding'],
      [post('one', 'Origin: http://evil.example\r\n'), 403, 'forbidden_origin'],
      [post('one').replace('/api/chat', '//api/chat'), 400, 'invalid_target'],
      [post('one').replace('/api/chat', '/api/nowhere'), 404, 'unknown_route'],
      [hostile.request('GET /api/version', 'Content-Length: 3\r\n', 'abc'), 400, 'body_not_allowed'],
      [hostile.request('POST /api/chat', 'Content-Length: 5000\r\n', 'x'.repeat(5000)), 413, 'body_too_large'],
      [hostile.request('POST /api/chat', 'Content-Length: 1\r\n', '{'), 400, 'invalid_json'],
    ];
    for (const [bytes, status, code] of refused) {
      await judge(hostile, {
        name: code,
        bytes: bytes + post('one'),
        answers: [[status, code], [200]],
        forwarded: [ask('one')],
        closed: false,
      });
    }
  });

  it('nothing behind a doubtful head is a request, whether it comes with it or later', async () => {
    const doubtful: ReadonlyArray<readonly [string, number, string]> = [
      [post('one', 'Content-Length: 3\r\n'), 400, 'malformed_http'],
      [post('one', 'Transfer-Encoding: chunked\r\n'), 400, 'malformed_http'],
      [
        hostile.request('POST /api/chat', 'Transfer-Encoding: gzip, chunked\r\n', chunked(ask('one'))),
        400,
        'malformed_http',
      ],
      [post('one', 'Host: evil.example\r\n'), 400, 'invalid_host'],
      [post('one').replace('HTTP/1.1', 'HTTP/2.0'), 400, 'malformed_http'],
      [post('one', 'Connection: Upgrade\r\nUpgrade: h2c\r\n'), 400, 'upgrade_refused'],
      [post('one', 'Expect: a-lot\r\n'), 417, 'expectation_failed'],
      [post('one', 'X-A: b\r\n c\r\n'), 400, 'malformed_http'],
    ];
    for (const [bytes, status, code] of doubtful) {
      const refused = { name: code, answers: [[status, code]] as const, closed: true };
      await judge(hostile, { ...refused, bytes: bytes + post('one') + hostile.request('GET /api/version') });
      await judge(hostile, { ...refused, bytes, later: [{ afterMs: 30, bytes: post('one') }] });
    }
  });

  it('nothing behind Connection: close is a request', async () => {
    const bytes = post('one', 'Connection: close\r\n') + post('two');
    const { events, forwarded, text, closed } = await hostile.send(bytes, { events: 2 });
    assert.deepEqual(
      forwarded.map(({ body }) => body),
      [ask('one')],
    );
    assert.deepEqual(events.map(({ status, error }) => `${status} ${error}`).toSorted(), [
      '200 undefined',
      '400 malformed_http',
    ]);
    assert.equal(text.match(/HTTP\/1\.1 \d+/g)?.[0], 'HTTP/1.1 200');
    assert.equal(closed, true);
  });

  it('garbage behind a request is refused behind its answer', async () => {
    for (const garbage of ['\0\0\0\0', 'GARBAGE\r\n\r\n', 'GET / HTTP/1.1\r\nX: \0\r\n\r\n', '{"model":"x"}']) {
      await judge(hostile, {
        name: garbage,
        bytes: post('slow') + garbage,
        answers: [[200], [400, 'malformed_http']],
        forwarded: [ask('slow')],
        closed: true,
      });
    }
  });

  it('a request hidden in a body stays a body', async () => {
    const hidden = hostile.request('POST /api/chat', `Content-Length: ${ask('hidden').length}\r\n`, ask('hidden'));
    const body = JSON.stringify({ model: 'one', messages: [{ role: 'user', content: hidden }] });
    for (const bytes of [
      hostile.request('POST /api/chat', `Content-Length: ${body.length}\r\n`, body),
      hostile.request('POST /api/chat', 'Transfer-Encoding: chunked\r\n', chunked(body)),
      // An extension that holds a line of a head.
      hostile.request(
        'POST /api/chat',
        'Transfer-Encoding: chunked\r\n',
        chunked(body, ';a="GET /api/version HTTP/1.1"'),
      ),
    ]) {
      await judge(hostile, { name: 'hidden', bytes, answers: [[200]], forwarded: [body], closed: false });
    }
  });

  it('a request behind a body that is shorter than the caller meant is judged like any other', async () => {
    const smuggled = by('mallory', ['guest'], post('one'));
    for (const headers of ['', 'Content-Length: 0\r\n']) {
      await judge(hostile, {
        name: headers,
        bytes: hostile.request('POST /api/chat', headers) + smuggled,
        answers: [
          [400, 'missing_body'],
          [403, 'policy_denied'],
        ],
        closed: false,
      });
    }
    await judge(hostile, {
      name: 'a body on a route without one',
      bytes: hostile.request('GET /api/version', `Content-Length: ${smuggled.length}\r\n`, smuggled),
      answers: [[400, 'body_not_allowed']],
      closed: false,
    });
    await judge(hostile, {
      name: 'HEAD with a body',
      bytes: hostile.request('HEAD /', `Content-Length: ${smuggled.length}\r\n`, smuggled),
      methods: ['HEAD'],
      answers: [[400, 'body_not_allowed']],
      closed: false,
    });
  });

  it('every way to cut a row of requests gives the same answers', async () => {
    const bytes =
      post('one') +
      hostile.request('POST /api/chat', 'Transfer-Encoding: chunked\r\n', chunked(ask('two'), ';x')) +
      hostile.request('GET /api/version');
    for (let cut = 1; cut < bytes.length; cut += 23) {
      await judge(hostile, {
        name: `${cut}`,
        bytes: bytes.slice(0, cut),
        later: [{ afterMs: 2, bytes: bytes.slice(cut) }],
        answers: [[200], [200], [200]],
        forwarded: [ask('one'), ask('two'), ''],
        sortForwarded: true,
        closed: false,
        settleMs: 0,
      });
    }
  });
});

describe('a caller that leaves', () => {
  let hostile: Hostile;
  let gone = 0;
  before(async () => {
    hostile = await startHostile({
      timeouts: { headers: 1500, body: 2000 },
      script: {
        silent(socket) {
          socket.on('close', () => {
            gone += 1;
          });
        },
      },
    });
  });
  after(() => hostile.close());
  const length = `Content-Length: ${ask('silent').length}\r\n`;

  for (const end of ['half', 'reset'] as const) {
    const how = end === 'half' ? 'closes its side' : 'resets';
    it(`within its head and ${how} has asked for nothing`, async () => {
      const { events, forwarded, closed } = await hostile.send('POST /api/chat HTTP/1.1\r\nHo', { end, events: 0 });
      assert.deepEqual([events, forwarded, closed], [[], [], true]);
    });

    it(`within its body and ${how} reaches nothing`, async () => {
      for (const [headers, part] of [
        [length, '{"model"'],
        ['Transfer-Encoding: chunked\r\n', '10\r\n{"model"'],
        ['Transfer-Encoding: chunked\r\n', '12\r\n{"model":"silent"}\r\n'],
      ] as const) {
        const { events, forwarded, closed } = await hostile.send(hostile.request('POST /api/chat', headers), {
          later: [
            { afterMs: 20, bytes: part },
            { afterMs: 20, bytes: '' },
          ],
          end,
        });
        assert.deepEqual(
          events.map(({ outcome, status, error }) => [outcome, status, error]),
          [['aborted', 499, 'client_closed_request']],
        );
        assert.deepEqual([forwarded, closed], [[], true]);
      }
    });

    it(`before the answer and ${how} lets go of the upstream`, async () => {
      const before = gone;
      const { events, forwarded } = await hostile.send(hostile.request('POST /api/chat', length, ask('silent')), {
        later: [{ afterMs: 60, bytes: '' }],
        end,
      });
      assert.deepEqual(
        events.map(({ outcome, status, error }) => [outcome, status, error]),
        [['aborted', 499, 'client_closed_request']],
      );
      assert.deepEqual(
        forwarded.map(({ body }) => body),
        [ask('silent')],
      );
      await sleep(100);
      assert.equal(gone, before + 1);
    });
  }
});
