/** What an upstream may answer, and what a policy may add to it: each passed on as it is, or refused as a whole. */
import assert from 'node:assert/strict';
import { after, before, it as define, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { patient } from '../support/at-best.ts';
import { headerOf, statusOf } from '../support/raw-http.ts';
import { type Hostile, type HostileExchange, judge, plainAnswer, type Script, startHostile } from './hostile.ts';

// Times are short here: what a held up process spoils is carried out anew.
const it = patient(define);

const body = '{"done":true}';
const length = `Content-Length: ${body.length}\r\n`;
const chunks = 'Transfer-Encoding: chunked\r\n';
const chunk = `d\r\n${body}\r\n`;

function answer(status: string, headers: string, content = body): string {
  return `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\n${headers}\r\n${content}`;
}

/** Headers that an answer through the sidecar may have, and no other. */
const ofOurs = new Set([
  'content-type',
  'content-length',
  'transfer-encoding',
  'cache-control',
  'allow',
  'date',
  'retry-after',
  'x-request-id',
  'x-opallama-decision-id',
  'x-opallama-reason',
  'connection',
  'keep-alive',
]);

interface Case {
  readonly name: string;
  readonly raw: string;
  /** The upstream closes behind it. */
  readonly ends?: boolean;
  /** 200, whole, with `body` unless told. */
  readonly status?: number;
  readonly body?: string;
  readonly code?: string;
  /** Of the event: `complete` for what passes, `error` for what is refused. */
  readonly outcome?: string;
  readonly closed?: boolean;
  readonly forbidden?: RegExp;
}

const invalid = { status: 502, code: 'upstream_invalid' } as const;

/** HTTP itself can't tell such an end from a cut (RFC 9112, 8), but the answer can: it has a last frame, or it has not. */
const cutByConnection = [
  { name: 'half a body', type: 'application/json', content: '{"done":true', outcome: 'incomplete' },
  { name: 'no body', type: 'application/json', content: '', outcome: 'incomplete' },
  {
    name: 'lines and the last of them',
    type: 'application/x-ndjson',
    content: '{"done":false}\n{"done":true}\n',
    outcome: 'complete',
  },
  { name: 'lines without the last', type: 'application/x-ndjson', content: '{"done":false}\n', outcome: 'incomplete' },
  {
    name: 'half a last line',
    type: 'application/x-ndjson',
    content: '{"done":false}\n{"done":tr',
    outcome: 'incomplete',
  },
];

const families: Readonly<Record<string, readonly Case[]>> = {
  'statuses and interim answers': [
    ...['102 Processing', '103 Early Hints', '199 Odd'].map((status) => ({
      name: `${status} before the answer`,
      raw: `HTTP/1.1 ${status}\r\nSet-Cookie: interim=1\r\nX-Opallama-Reason: interim\r\n\r\n${answer('200 OK', length)}`,
      forbidden: /interim|HTTP\/1\.1 1/,
    })),
    {
      name: 'a thousand interim answers',
      raw: 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(1000) + answer('200 OK', length),
    },
    {
      // Nothing that is sent asks for it, and undici takes nothing that it did not ask for (decision 026).
      name: '100 Continue before the answer',
      raw: `HTTP/1.1 100 Continue\r\n\r\n${answer('200 OK', length)}`,
      ...invalid,
    },
    {
      name: 'an upgrade that nobody asked for',
      raw: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes',
      ...invalid,
      forbidden: /frames|upgrade: /i,
    },
    { name: '101 without an upgrade', raw: 'HTTP/1.1 101 Switching Protocols\r\n\r\n', ...invalid },
    {
      name: 'an upgrade offered',
      raw: answer('200 OK', `Connection: Upgrade\r\nUpgrade: h2c\r\n${length}`),
      forbidden: /upgrade|h2c/i,
    },
    { name: '204', raw: 'HTTP/1.1 204 No Content\r\n\r\n', status: 204, body: '' },
    {
      name: '204 with a length and a body',
      raw: answer('204 No Content', length),
      status: 204,
      body: '',
      outcome: 'incomplete',
      forbidden: /content-length|done/,
    },
    { name: '205', raw: answer('205 Reset Content', length), status: 205 },
    {
      name: '206',
      raw: answer('206 Partial', `Content-Range: bytes 0-12/13\r\n${length}`),
      status: 206,
      forbidden: /content-range/i,
    },
    {
      name: '304 with the length of what it is not',
      raw: `HTTP/1.1 304 Not Modified\r\n${length}\r\n`,
      status: 304,
      body: '',
    },
    {
      name: '302',
      raw: answer('302 Found', `Location: http://evil.example/\r\n${length}`),
      status: 302,
      forbidden: /location|evil/i,
    },
    {
      name: '401, whose challenge is for the sidecar',
      raw: answer('401 X', `WWW-Authenticate: Basic realm="x"\r\n${length}`),
      status: 401,
      forbidden: /authenticate/i,
    },
    {
      name: '407',
      raw: answer('407 X', `Proxy-Authenticate: Basic\r\n${length}`),
      status: 407,
      forbidden: /authenticate:/i,
    },
    { name: '599', raw: answer('599 X', length), status: 599 },
    ...['000', '099', '20', '2000', '600', '999', '-1', '2x0', ''].map((status) => ({
      name: `the status ${JSON.stringify(status)}`,
      raw: answer(`${status} X`, length),
      ...invalid,
    })),
    { name: 'no reason', raw: answer('200', length) },
    { name: 'a reason of bytes above ASCII', raw: answer('200 \u00ff\u00fe evil', length), forbidden: /evil/ },
  ],
  versions: [
    { name: 'HTTP/1.0 until the connection ends', raw: answer('200 OK', '').replace('1.1', '1.0'), ends: true },
    { name: 'HTTP/1.0 with a length', raw: answer('200 OK', length).replace('1.1', '1.0') },
    // Which version an answer claims undici does not tell; what it was parsed to is framed anew (decision 026).
    {
      name: 'HTTP/1.0 with chunks',
      raw: answer('200 OK', chunks, `${chunk}0\r\n\r\n`).replace('1.1', '1.0'),
    },
    { name: 'HTTP/2.0', raw: answer('200 OK', length).replace('1.1', '2.0') },
    { name: 'HTTP/0.9', raw: 'just a body', ends: true, ...invalid },
    { name: 'a request', raw: 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', ...invalid },
  ],
  framing: [
    ...['Content-Type: text/html', 'Date: now', 'Cache-Control: no-store', 'Allow: GET', 'Retry-After: 9'].map(
      (line) => ({
        name: `two of the header ${JSON.stringify(line)}`,
        raw: answer('200 OK', `${line}\r\n${line}\r\n${length}`),
      }),
    ),
    { name: 'two equal lengths', raw: answer('200 OK', length + length), ...invalid },
    { name: 'two that differ', raw: answer('200 OK', `${length}Content-Length: 3\r\n`), ...invalid },
    ...['13, 13', '+13', '-13', '0x0d', '1e1', ''].map((value) => ({
      name: `the length ${JSON.stringify(value)}`,
      raw: answer('200 OK', `Content-Length: ${value}\r\n`),
      ...invalid,
    })),
    { name: 'a length and chunks', raw: answer('200 OK', length + chunks, `${chunk}0\r\n\r\n`), ...invalid },
    { name: 'chunks', raw: answer('200 OK', chunks, `${chunk}0\r\n\r\n`) },
    ...['gzip, chunked', 'chunked, chunked', 'identity', 'gzip'].map((coding) => ({
      name: `the coding ${coding}`,
      raw: answer('200 OK', `Transfer-Encoding: ${coding}\r\n`, `${chunk}0\r\n\r\n`),
      ends: true,
      ...invalid,
    })),
    { name: 'chunked twice', raw: answer('200 OK', chunks + chunks, `${chunk}0\r\n\r\n`), ...invalid },
    { name: 'an end that only the connection tells', raw: answer('200 OK', 'Connection: close\r\n'), ends: true },
    ...cutByConnection.map(({ name, type, content, outcome }) => ({
      name: `an end that only the connection tells: ${name}`,
      raw: `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nConnection: close\r\n\r\n${content}`,
      ends: true,
      body: content,
      outcome,
    })),
    {
      name: 'a chunk size that is none',
      raw: answer('200 OK', chunks, `zz\r\n${body}\r\n0\r\n\r\n`),
      code: 'upstream_died',
      outcome: 'incomplete',
      body: '',
      closed: true,
    },
    {
      name: 'a chunk size that is none, midway',
      raw: answer('200 OK', chunks, `${chunk}zz\r\n`),
      code: 'upstream_died',
      outcome: 'incomplete',
      closed: true,
    },
    {
      name: 'no last chunk',
      raw: answer('200 OK', chunks, chunk),
      ends: true,
      code: 'upstream_died',
      outcome: 'incomplete',
      closed: true,
    },
    {
      name: 'less than was announced',
      raw: answer('200 OK', 'Content-Length: 40\r\n'),
      ends: true,
      status: 502,
      code: 'upstream_died',
    },
    {
      name: 'more than was announced',
      raw: answer('200 OK', 'Content-Length: 4\r\n'),
      body: '{"do',
      outcome: 'incomplete',
    },
    {
      name: 'a second answer behind it',
      raw: answer('200 OK', length) + answer('200 OK', length, '{"evil":true}'),
      forbidden: /evil/,
    },
    {
      name: 'trailers',
      raw: answer(
        '200 OK',
        `${chunks}Trailer: X-T\r\n`,
        `${chunk}0\r\nX-T: evil\r\nSet-Cookie: evil\r\nX-Opallama-Reason: evil\r\n\r\n`,
      ),
      forbidden: /evil|trailer/i,
    },
    {
      name: 'an encoding that nobody asked for',
      raw: answer('200 OK', `Content-Encoding: gzip\r\n${length}`),
      ...invalid,
    },
  ],
  headers: [
    { name: 'a folded header', raw: answer('200 OK', `Cache-Control: a\r\n b\r\n${length}`), ...invalid },
    { name: 'line feeds only', raw: answer('200 OK', length).replaceAll('\r\n', '\n'), ...invalid },
    { name: 'white space before a colon', raw: answer('200 OK', 'Content-Length : 13\r\n'), ...invalid },
    ...['\0', '\r', '\n', '\u0001', '\u007f'].map((character) => ({
      name: `${JSON.stringify(character)} in a value`,
      raw: answer('200 OK', `Cache-Control: a${character}b\r\n${length}`),
      ...invalid,
    })),
    { name: 'bytes above ASCII in a value', raw: answer('200 OK', `Cache-Control: a\u00ff\r\n${length}`) },
    { name: 'more than 16 KiB', raw: answer('200 OK', `X: ${'x'.repeat(70_000)}\r\n${length}`), ...invalid },
    {
      name: 'more of them than Node shows',
      raw: answer('200 OK', `${'a:b\r\n'.repeat(2500)}Content-Encoding: gzip\r\n${length}`),
      ...invalid,
    },
    {
      name: 'names of the sidecar’s own, cookies and grants to pages',
      raw: answer(
        '200 OK',
        `X-Opallama-Reason: evil\r\nX-Opallama-Decision-Id: evil\r\nX-Request-Id: evil\r\nAccess-Control-Allow-Origin: *\r\nSet-Cookie: evil\r\nRefresh: 0\r\nServer: evil\r\nVia: evil\r\nAlt-Svc: h2="evil"\r\nKeep-Alive: timeout=99\r\n${length}`,
      ),
      forbidden: /evil|access-control|=99/i,
    },
    {
      name: 'what Connection names',
      raw: answer('200 OK', `Connection: cache-control, content-type\r\nCache-Control: no-store\r\n${length}`),
    },
  ],
};

const script: Script = Object.fromEntries(
  Object.values(families)
    .flat()
    .map(({ raw, ends }, index) => [
      `c${index}`,
      (socket) => {
        const bytes = Buffer.from(raw, 'latin1');
        if (ends === true) socket.end(bytes);
        else socket.write(bytes);
      },
    ]),
);

const ask = (model: string) => `{"model":"${model}","stream":false}`;

describe('what the upstream answers', () => {
  let hostile: Hostile;
  before(async () => {
    hostile = await startHostile({
      timeouts: { idle: 800, firstByte: 800 },
      script: {
        ...script,
        late(socket) {
          socket.write(plainAnswer);
          setTimeout(() => socket.write(plainAnswer.replace('tiny', 'evil')), 20);
        },
        slow: (socket) => setTimeout(() => socket.write(plainAnswer), 40),
      },
    });
  });
  after(() => hostile.close());
  const post = (model: string): Promise<HostileExchange> =>
    hostile.send(hostile.request('POST /api/chat', `Content-Length: ${ask(model).length}\r\n`, ask(model)));

  let index = 0;
  for (const [family, cases] of Object.entries(families)) {
    describe(family, () => {
      for (const one of cases) {
        const model = `c${index++}`;
        it(one.name, async () => {
          const { answers, events, forwarded, text, closed } = await post(model);
          assert.equal(forwarded.length, 1);
          const [event] = events;
          const outcome = one.outcome ?? (one.code === undefined ? 'complete' : 'error');
          assert.deepEqual([event?.status, event?.error, event?.outcome], [one.status ?? 200, one.code, outcome], text);
          assert.equal(closed, one.closed ?? false, text);
          const [given] = answers;
          assert.ok(given !== undefined);
          assert.equal(answers.length, 1);
          assert.equal(statusOf(given), one.status ?? 200);
          // A whole error answer if it is refused, a cut one if it was begun, else the upstream's.
          assert.equal(given.complete, one.closed !== true);
          if (given.complete) assert.equal(headerOf(given, 'x-opallama-reason'), one.code);
          if (one.code === undefined || one.closed === true) assert.equal(given.body.toString(), one.body ?? body);
          for (const [name] of given.headers) assert.ok(ofOurs.has(name.toLowerCase()), name);
          assert.equal(new Set(given.headers.map(([name]) => name.toLowerCase())).size, given.headers.length);
          if (one.forbidden !== undefined) assert.doesNotMatch(text, one.forbidden);
          // Whatever it was, the next caller gets what was meant for it.
          const next = await post('tiny');
          assert.match(next.text, /\{"model":"tiny","done":true\}$/);
        });
      }
    });
  }

  it('an answer to nobody, on a connection that waits, is not for the next caller', async () => {
    for (const wait of [0, 10, 25, 60]) {
      assert.match((await post('late')).text, /"tiny"/);
      await sleep(wait);
      assert.match((await post('slow')).text, /"tiny"/, `${wait} ms later`);
    }
  });

  it('a body behind the answer to HEAD is nobody’s', async (t) => {
    const other = await startHostile({ script: { '': answer('200 OK', length) } });
    t.after(() => other.close());
    for (const path of ['/', '/api/tags', '/api/version']) {
      const { text, events } = await other.send(other.request(`HEAD ${path}`), { methods: ['HEAD'] });
      assert.deepEqual(
        events.map(({ status, outcome }) => [status, outcome]),
        [[200, 'complete']],
      );
      assert.match(text, /\r\n\r\n$/);
      assert.doesNotMatch(text, /done/);
    }
  });
});

describe('headers of a policy', () => {
  const bad: Readonly<Record<string, string>> = {
    linebreak: '"x-a": "b\\r\\nX-Evil: 1"',
    linefeed: '"x-a": "b\\nX-Evil: 1"',
    return: '"x-a": "b\\rX-Evil: 1"',
    nul: '"x-a": "b\\u0000c"',
    wide: '"x-a": "\\u4f60"',
    name: '"x-a\\r\\nx-evil": "1"',
    space: '"x a": "1"',
    colon: '"x-evil:": "1"',
    empty: '"": "1"',
    length: '"content-length": "3"',
    coding: '"Transfer-Encoding": "chunked"',
    connection: '"CONNECTION": "close"',
    upgrade: '"upgrade": "h2c"',
    trailer: '"trailer": "x"',
    host: '"host": "evil.example"',
    via: '"via": "1.1 evil"',
    authorization: '"authorization": "Bearer evil"',
    number: '"x-a": 1',
  };
  const members = ['headers', 'response_headers_to_add'];
  const rules = Object.entries(bad).flatMap(([model, header]) =>
    members.map((member) => `${member} := {${header}} if input.model == "${member[0]}${model}"`),
  );
  let hostile: Hostile;
  before(async () => {
    hostile = await startHostile({
      policy: {
        'authz.rego': `package ollama.authz\n\ndefault allow := false\n\nallow if not startswith(input.model, "denied")\n\nheaders := {"x-a": "b\\r\\nX-Evil: 1"} if input.model == "denied"\n\n${rules.join('\n\n')}\n`,
      },
    });
  });
  after(() => hostile.close());

  for (const model of [
    ...Object.keys(bad).flatMap((name) => members.map((member) => `${member[0]}${name}`)),
    'denied',
  ]) {
    it(`${model}: it is no decision, and nothing of it leaves`, async () => {
      const bytes = hostile.request('POST /api/chat', `Content-Length: ${ask(model).length}\r\n`, ask(model));
      const { text } = await judge(hostile, {
        name: model,
        bytes,
        answers: [[403, 'policy_malformed']],
        closed: false,
      });
      assert.doesNotMatch(text, /^x-evil/im);
    });
  }
});
