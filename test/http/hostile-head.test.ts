/** Heads that readers read in different ways: lines, names, values, Host, targets, methods, versions, hop-by-hop headers. */
import assert from 'node:assert/strict';
import { after, before, it as define, describe } from 'node:test';
import { patient } from '../support/at-best.ts';
import { headerOf } from '../support/raw-http.ts';
import { chunked, type Hostile, type HostileCase, judge, startHostile } from './hostile.ts';

// Times are short here: what a held up process spoils is carried out anew.
const it = patient(define);

const body = '{"model":"tiny"}';
const length = `Content-Length: ${body.length}\r\n`;
const malformed = { answers: [[400, 'malformed_http']], closed: true } as const;
const passed = { answers: [[200]], forwarded: [body], closed: false } as const;

describe('the head of a request', () => {
  let hostile: Hostile;
  before(async () => {
    hostile = await startHostile();
  });
  after(() => hostile.close());

  /** A whole request with further header lines, or changed by a function. */
  type Change = { readonly headers?: string; readonly change?: (bytes: string) => string };
  const judgeAll = (cases: ReadonlyArray<Omit<HostileCase, 'bytes'> & Change>) => {
    for (const { headers = '', change = (bytes: string) => bytes, ...one } of cases) {
      it(one.name, async () => {
        await judge(hostile, { ...one, bytes: change(hostile.request('POST /api/chat', headers + length, body)) });
      });
    }
  };
  const replace = (from: string | RegExp, to: string) => (bytes: string) => {
    assert.notEqual(bytes.replace(from, to), bytes);
    return bytes.replace(from, to);
  };

  describe('its lines', () => {
    judgeAll([
      { ...passed, name: 'empty lines before it (RFC 9112, 2.2)', change: (bytes) => `\r\n\r\n${bytes}` },
      { ...malformed, name: 'a folded header', headers: 'X-A: b\r\n c\r\n' },
      { ...malformed, name: 'a header folded by a tab', headers: 'X-A: b\r\n\tc\r\n' },
      { ...malformed, name: 'a fold before the first header', change: replace('\r\nHost', '\r\n X-A: b\r\nHost') },
      { ...malformed, name: 'a fold that hides a header', headers: 'X-A: b\r\n Content-Length: 3\r\n' },
      { ...malformed, name: 'line feeds only', change: (bytes) => bytes.replaceAll('\r\n', '\n') },
      { ...malformed, name: 'a line feed behind one header', headers: 'X-A: b\n' },
      { ...malformed, name: 'a line feed behind the last one', change: replace('\r\n\r\n', '\r\n\n') },
      { ...malformed, name: 'a carriage return behind one header', headers: 'X-A: b\rX-B: c\r\n' },
      { ...malformed, name: 'two carriage returns', headers: 'X-A: b\r\r\n' },
      { ...malformed, name: 'no colon', headers: 'X-A\r\n' },
      { ...malformed, name: 'no name', headers: ': b\r\n' },
      { ...malformed, name: 'white space before the request', change: (bytes) => ` ${bytes}` },
      {
        ...malformed,
        name: 'another protocol: TLS',
        change: () => '\u0016\u0003\u0001\0\u00a5\u0001\0\0\u00a1\u0003\u0003',
      },
      {
        ...malformed,
        name: 'another protocol: HTTP/2 by prior knowledge',
        change: () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      },
      {
        ...malformed,
        name: 'another protocol: an answer',
        change: () => 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
      },
    ]);
  });

  describe('its names and values', () => {
    judgeAll([
      ...['X-A :', 'X-A\t:', 'X A:', 'X-\0A:', 'X-\u007f:', 'X-\u00e9:', '(X):', 'X"A":', 'X@A:', 'X[A]:'].map(
        (name) => ({
          ...malformed,
          name: `the name ${JSON.stringify(name)}`,
          headers: `${name} b\r\n`,
        }),
      ),
      ...['\0', '\u0001', '\u0008', '\u000b', '\u000c', '\u001b', '\u007f', '\r', '\n'].map((character) => ({
        ...malformed,
        name: `${JSON.stringify(character)} in a value`,
        headers: `User-Agent: b${character}c\r\n`,
      })),
      { ...passed, name: 'a value of nothing', headers: 'X-A:\r\n' },
      { ...passed, name: 'a name that objects have', headers: '__proto__: x\r\nconstructor: x\r\ntoString: x\r\n' },
      { name: 'two types of content', headers: 'Content-Type: a/b\r\nContent-Type: a/b\r\n', ...malformed },
    ]);

    it('bytes above ASCII in a value that is forwarded stay the bytes that they are', async () => {
      const bytes = hostile.request('POST /api/chat', `User-Agent: \u00ff\u0080x\r\n${length}`, body);
      const { forwarded } = await judge(hostile, { ...passed, name: 'latin1', bytes });
      assert.match(forwarded[0]?.head ?? '', /^user-agent: \u00ff\u0080x$/im);
    });
  });

  describe('Host', () => {
    const invalid = { answers: [[400, 'invalid_host']], closed: true } as const;
    judgeAll([
      { ...invalid, name: 'none', change: replace(/Host.*\r\n/, '') },
      {
        ...invalid,
        name: 'none, in HTTP/1.0',
        change: (bytes) => replace(/Host.*\r\n/, '')(bytes).replace('HTTP/1.1', 'HTTP/1.0'),
      },
      { ...invalid, name: 'two', headers: 'Host: evil.example\r\n' },
      { ...invalid, name: 'two equal ones', headers: 'Host: 127.0.0.1\r\n' },
      { ...invalid, name: 'two in other case', headers: 'HOST: evil.example\r\n' },
      ...['', 'a b', 'user@host', 'a/b', 'http://a', 'a:b', 'a:1:2', 'a,b', 'a?b', '[::1', '::1', '%31'].map(
        (host) => ({
          ...invalid,
          name: JSON.stringify(host),
          change: replace(/Host:.*\r\n/, `Host: ${host}\r\n`),
        }),
      ),
      // The guest is not named here, so any host will do; whose name it is decides nothing.
      { ...passed, name: 'a stranger', change: replace(/Host:.*\r\n/, 'Host: evil.example:99\r\n') },
    ]);
    it("is the upstream's own there, whatever the caller says", async () => {
      const bytes = hostile
        .request('POST /api/chat', `X-Forwarded-Host: evil.example\r\n${length}`, body)
        .replace(/Host:.*\r\n/, 'Host: evil.example\r\n');
      const { forwarded } = await judge(hostile, { ...passed, name: 'host', bytes });
      assert.match(forwarded[0]?.head ?? '', /^host: 127\.0\.0\.1:\d+$/im);
      assert.doesNotMatch(forwarded[0]?.head ?? '', /evil/);
    });
  });

  describe('its target', () => {
    const invalid = { answers: [[400, 'invalid_target']], closed: false } as const;
    const target = (text: string) => replace('/api/chat', text);
    judgeAll([
      { ...invalid, name: 'absolute', change: target('http://127.0.0.1/api/chat') },
      { ...invalid, name: 'absolute, of another host', change: target('http://evil.example/api/chat') },
      { ...invalid, name: 'absolute, by TLS', change: target('https://127.0.0.1/api/chat') },
      { ...invalid, name: 'absolute, without a path', change: target('http://127.0.0.1') },
      { ...malformed, name: 'of another scheme', change: target('ftp:/api/chat') },
      { ...malformed, name: 'an authority', change: target('127.0.0.1:80') },
      { ...invalid, name: 'an asterisk', change: target('*') },
      { ...invalid, name: 'OPTIONS *', change: () => hostile.request('OPTIONS *') },
      ...[
        '//api/chat',
        '/api//chat',
        '/api/./chat',
        '/x/../api/chat',
        '/api/chat/..',
        '/api/ch%61t',
        '/api%2fchat',
        '/api\\chat',
        '/api/chat#x',
        '/api/chat?a#x',
      ].map((text) => ({
        ...invalid,
        name: text,
        change: target(text),
      })),
      ...['/api/ chat', '/api/chat\t', '/api/\u0000chat', '/api/chat\u007f'].map((text) => ({
        ...malformed,
        name: JSON.stringify(text),
        change: target(text),
      })),
      { ...malformed, name: 'no target', change: replace('/api/chat ', '') },
      { ...malformed, name: 'bytes above ASCII', change: target('/api/chat?\u00e9') },
      {
        name: 'a long one',
        change: target(`/api/chat?${'x'.repeat(9000)}`),
        answers: [[414, 'uri_too_long']],
        closed: false,
      },
      { ...passed, name: 'spaces between method and target, which go no further', change: replace('POST ', 'POST  ') },
      {
        name: 'one of a route with a slash behind it',
        change: target('/api/chat/'),
        answers: [[404, 'unknown_route']],
        closed: false,
      },
      {
        name: 'one of a route in other case',
        change: target('/API/chat'),
        answers: [[404, 'unknown_route']],
        closed: false,
      },
    ]);
  });

  describe('its method', () => {
    const method = (name: string) => replace('POST', name);
    judgeAll([
      { ...malformed, name: 'in lower case', change: method('post') },
      { ...malformed, name: 'unheard of', change: method('FROB') },
      { ...malformed, name: 'with a suffix', change: method('POSTX') },
      ...['TRACE', 'PURGE', 'PROPFIND', 'DELETE', 'GET', 'QUERY'].map((name) => ({
        name,
        change: method(name),
        answers: [[405, 'method_not_allowed']] as const,
        closed: false,
      })),
      ...['127.0.0.1:80', 'evil.example:443', '/api/chat'].map((authority) => ({
        name: `CONNECT ${authority}`,
        change: replace('POST /api/chat', `CONNECT ${authority}`),
        answers: [[405, 'method_not_allowed']] as const,
        closed: true,
      })),
      // What would be sent through the tunnel is no request, though it looks like one.
      {
        name: 'CONNECT with a request behind it',
        change: (bytes) => `${hostile.request('CONNECT evil.example:443')}${bytes}`,
        answers: [[405, 'method_not_allowed']],
        closed: true,
      },
    ]);
  });

  describe('its version', () => {
    const version = (text: string) => replace(' HTTP/1.1', text);
    judgeAll([
      ...[
        '',
        ' HTTP/0.9',
        ' HTTP/2.0',
        ' HTTP/1.2',
        ' HTTP/3',
        ' http/1.1',
        ' HTTP/1.1x',
        ' HTTP/11',
        ' HTTP/1.01',
        ' ICE/1.0',
      ].map((text) => ({
        ...malformed,
        name: JSON.stringify(text),
        change: version(text),
      })),
      { ...passed, name: 'HTTP/1.0, which ends with its answer', change: version(' HTTP/1.0'), closed: true },
      {
        ...passed,
        name: 'HTTP/1.0 that is kept alive',
        headers: 'Connection: keep-alive\r\n',
        change: version(' HTTP/1.0'),
      },
    ]);
  });

  describe('Connection', () => {
    // RFC 9110, 7.6.1: what it names is of this hop only. Nothing that is judged goes away by it, nothing else passes.
    judgeAll([
      ...[
        'content-length',
        'authorization',
        'host',
        'user-agent, x-request-id',
        'keep-alive, x-secret',
        'te',
        ',,,',
        '"',
      ].map((value) => ({
        ...passed,
        name: `that names ${value}`,
        headers: `Connection: ${value}\r\nX-Secret: s\r\nTE: trailers\r\nKeep-Alive: timeout=99\r\n`,
      })),
      {
        name: 'that names the type, whose charset is refused all the same',
        headers: 'Connection: content-type\r\nContent-Type: application/json; charset=utf-16\r\n',
        answers: [[415, 'unsupported_charset']],
        closed: false,
      },
      {
        name: 'that names the encoding',
        headers: 'Connection: content-encoding\r\nContent-Encoding: gzip\r\n',
        answers: [[415, 'unsupported_encoding']],
        closed: false,
      },
      {
        name: 'that names the origin',
        headers: 'Connection: origin\r\nOrigin: http://evil.example\r\n',
        answers: [[403, 'forbidden_origin']],
        closed: false,
      },
      {
        name: 'that names a second credential',
        headers: 'Connection: x-api-key\r\nX-Api-Key: other\r\n',
        answers: [[401, 'conflicting_credentials']],
        closed: false,
      },
      { ...passed, name: 'close', headers: 'Connection: close\r\n', closed: true },
      {
        ...passed,
        name: 'keep-alive and close',
        headers: 'Connection: keep-alive\r\nConnection: Close\r\n',
        closed: true,
      },
      {
        ...passed,
        name: 'Proxy-Connection, which old clients mean as Connection',
        headers: 'Proxy-Connection: close\r\n',
        closed: true,
      },
    ]);

    it('that names the framing leaves the body as it is', async () => {
      const bytes = hostile.request(
        'POST /api/chat',
        'Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n',
        chunked(body),
      );
      await judge(hostile, { ...passed, name: 'chunked', bytes });
    });

    it('goes no further, nor what it names', async () => {
      const named = 'Connection: x-secret, content-type, close\r\nX-Secret: s\r\nContent-Type: application/json\r\n';
      const { forwarded } = await judge(hostile, {
        ...passed,
        name: 'named',
        bytes: hostile.request('POST /api/chat', named + length, body),
        closed: true,
      });
      const head = forwarded[0]?.head ?? '';
      assert.match(head, /^connection: keep-alive$/im);
      assert.match(head, /^content-type: application\/json$/im);
      assert.doesNotMatch(head, /secret|close/i);
    });
  });

  describe('Upgrade', () => {
    const refused = { answers: [[400, 'upgrade_refused']], closed: true } as const;
    const settings = 'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n';
    judgeAll([
      {
        ...refused,
        name: 'to a web socket',
        headers:
          'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n',
      },
      { ...refused, name: 'to HTTP/2', headers: `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n${settings}` },
      { ...refused, name: 'to TLS', headers: 'Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n' },
      { ...refused, name: 'that Connection does not name', headers: 'Upgrade: h2c\r\n' },
      { ...refused, name: 'to nothing', headers: 'Upgrade:\r\n' },
      { ...passed, name: 'that only Connection names', headers: 'Connection: Upgrade\r\n' },
      {
        ...refused,
        name: 'with frames of the other protocol behind it',
        change: () =>
          `${hostile.request('GET /api/version', `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n${settings}`)}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`,
      },
      {
        ...refused,
        name: 'with a request behind it, which is none',
        change: (bytes) =>
          `${hostile.request('GET /api/version', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')}${bytes}`,
      },
    ]);
  });

  describe('Expect', () => {
    judgeAll([
      ...['200-ok', '', '100-continue, x', '100-continue;q=1', '100'].map((value) => ({
        name: JSON.stringify(value),
        headers: `Expect: ${value}\r\n`,
        answers: [[417, 'expectation_failed']] as const,
        closed: true,
      })),
      {
        name: 'on a route without a body',
        change: () => hostile.request('GET /api/version', 'Expect: 100-continue\r\n'),
        ...passed,
        forwarded: [''],
        closed: true,
      },
    ]);

    const interim = 'HTTP/1.1 100 Continue\r\n\r\n';
    it('100-continue is answered when the body is wanted', async () => {
      const bytes = hostile.request('POST /api/chat', `Expect: 100-Continue\r\n${length}`, body);
      const { text } = await judge(hostile, { ...passed, name: 'continue', bytes });
      assert.equal(text.split(interim).length, 2);
      assert.ok(text.startsWith(interim));
    });
    it('100-continue is not answered in HTTP/1.0, which has no interim answers', async () => {
      const bytes = hostile
        .request('POST /api/chat', `Expect: 100-continue\r\n${length}`, body)
        .replace('HTTP/1.1', 'HTTP/1.0');
      const { text } = await judge(hostile, { ...passed, name: 'continue', bytes, closed: true });
      assert.ok(!text.includes(interim));
    });
    it('who is refused is not asked for a body', async () => {
      const head = `Expect: 100-continue\r\n${length}`;
      const refusals: ReadonlyArray<readonly [string, number, string]> = [
        [hostile.request('POST /api/chat', head).replace(/Authorization.*\r\n/, ''), 401, 'missing_credentials'],
        [hostile.request('POST /api/nowhere', head), 404, 'unknown_route'],
        [hostile.request('GET /api/chat', head), 405, 'method_not_allowed'],
        [hostile.request('GET /api/version', head), 400, 'body_not_allowed'],
        [hostile.request('POST /api/chat', 'Expect: 100-continue\r\nContent-Length: 5000\r\n'), 413, 'body_too_large'],
      ];
      for (const [bytes, status, code] of refusals) {
        const { text } = await judge(hostile, {
          name: code,
          bytes,
          answers: [[status, code]],
          closed: true,
          settleMs: 10_000,
        });
        assert.ok(!text.includes(interim), code);
      }
    });
  });

  describe('its size', () => {
    const many = (count: number) => 'a: b\r\n'.repeat(count);
    const large = { answers: [[431, 'headers_too_large']], closed: true } as const;
    judgeAll([
      { ...passed, name: 'within limits.headers', headers: `X: ${'x'.repeat(15_800)}\r\n` },
      { ...large, name: 'one header beyond it', headers: `X: ${'x'.repeat(16_500)}\r\n` },
      { ...large, name: 'a name beyond it', headers: `${'x'.repeat(16_500)}: x\r\n` },
      { ...large, name: 'a target beyond it', change: replace('/api/chat', `/api/chat?${'x'.repeat(17_000)}`) },
      { ...large, name: 'many headers beyond it', headers: many(3000) },
      { ...passed, name: 'nine hundred headers', headers: many(900) },
      // Node's own bound: none is dropped in silence, as what is not seen would not be judged.
      { ...large, name: 'a thousand headers', headers: many(1000) },
      { ...large, name: 'a second Host behind a thousand headers', headers: `${many(1000)}Host: evil.example\r\n` },
    ]);

    it('where more is configured no header is dropped either', async (t) => {
      const roomy = await startHostile({ limits: { headers: 256 * 1024 } });
      t.after(() => roomy.close());
      for (const count of [1000, 1999, 2000, 2001, 5000]) {
        const bytes = roomy.request('POST /api/chat', `${many(count)}Host: evil.example\r\n${length}`, body);
        await judge(roomy, { ...large, name: 'many', bytes });
      }
    });
  });

  it('an id of the caller that could break a line of a log or a header is replaced', async () => {
    for (const id of ['a b', 'x'.repeat(200), '"', '{}', 'a,b', '\u00e9']) {
      const bytes = hostile.request('POST /api/chat', `X-Request-Id: ${id}\r\n${length}`, body);
      const { answers, events, forwarded } = await judge(hostile, { ...passed, name: id, bytes });
      const given = answers[0] && headerOf(answers[0], 'x-request-id');
      assert.match(given ?? '', /^[0-9a-f-]{36}$/);
      assert.equal(events[0]?.request_id, given);
      assert.match(forwarded[0]?.head ?? '', new RegExp(`^x-request-id: ${given}$`, 'im'));
    }
  });
});
