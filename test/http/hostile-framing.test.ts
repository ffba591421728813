/** Where a request ends: lengths, transfer codings, chunks and trailers that two readers could read in two ways. */
import assert from 'node:assert/strict';
import { after, before, it as define, describe } from 'node:test';
import { patient } from '../support/at-best.ts';
import { chunked, type Hostile, type HostileCase, judge, startHostile } from './hostile.ts';

// Times are short here: what a held up process spoils is carried out anew.
const it = patient(define);

const body = '{"model":"tiny"}';
const length = `Content-Length: ${body.length}\r\n`;
const chunks = 'Transfer-Encoding: chunked\r\n';
const hex = body.length.toString(16);
const malformed = { answers: [[400, 'malformed_http']], closed: true } as const;
const passed = { answers: [[200]], forwarded: [body], closed: false } as const;

describe('where a request ends', () => {
  let hostile: Hostile;
  before(async () => {
    hostile = await startHostile({ timeouts: { headers: 1500, body: 300 } });
  });
  after(() => hostile.close());

  const judgeAll = (
    cases: ReadonlyArray<Omit<HostileCase, 'bytes'> & { headers: string; body?: string; v?: string }>,
  ) => {
    for (const one of cases) {
      it(one.name, async () => {
        const bytes = hostile
          .request('POST /api/chat', one.headers, one.body ?? body)
          .replace('HTTP/1.1', one.v ?? 'HTTP/1.1');
        await judge(hostile, { ...one, bytes });
      });
    }
  };

  describe('by a length', () => {
    judgeAll([
      { ...passed, name: 'one length', headers: length },
      { ...passed, name: 'leading zeros, which RFC 9110 (8.6) allows', headers: 'Content-Length: 0016\r\n' },
      { ...passed, name: 'white space around it', headers: `Content-Length: \t ${body.length} \t\r\n` },
      { ...passed, name: 'a name that only looks like it', headers: `Content_Length: 3\r\n${length}` },
      { ...malformed, name: 'two equal lengths', headers: length + length },
      { ...malformed, name: 'two that differ', headers: `${length}Content-Length: 3\r\n` },
      { ...malformed, name: 'two that differ, in other case', headers: `${length}CONTENT-LENGTH: 3\r\n` },
      { ...malformed, name: 'a list of equal ones', headers: 'Content-Length: 16, 16\r\n' },
      { ...malformed, name: 'a plus sign', headers: 'Content-Length: +16\r\n' },
      { ...malformed, name: 'a negative one', headers: 'Content-Length: -16\r\n' },
      { ...malformed, name: 'minus nothing', headers: 'Content-Length: -0\r\n' },
      { ...malformed, name: 'a hexadecimal one', headers: 'Content-Length: 0x10\r\n' },
      { ...malformed, name: 'a fraction', headers: 'Content-Length: 16.0\r\n' },
      { ...malformed, name: 'an exponent', headers: 'Content-Length: 1e1\r\n' },
      { ...malformed, name: 'a group of digits', headers: 'Content-Length: 1_6\r\n' },
      { ...malformed, name: 'two words', headers: 'Content-Length: 1 6\r\n' },
      { ...malformed, name: 'none at all', headers: 'Content-Length:\r\n' },
      { ...malformed, name: 'more than 64 bits', headers: 'Content-Length: 18446744073709551632\r\n' },
      { ...malformed, name: 'white space before the colon', headers: 'Content-Length : 16\r\n' },
      { ...malformed, name: 'the value in a folded line', headers: 'Content-Length:\r\n 16\r\n' },
      {
        name: 'as much as 64 bits hold',
        headers: 'Content-Length: 18446744073709551615\r\n',
        answers: [[413, 'body_too_large']],
        closed: false,
      },
    ]);
  });

  describe('by a transfer coding', () => {
    const body = chunked('{"model":"tiny"}');
    judgeAll([
      { ...passed, name: 'chunked', headers: chunks, body },
      { ...passed, name: 'chunked in other case', headers: 'TRANSFER-encoding: Chunked\r\n', body },
      { ...passed, name: 'chunked behind a tab', headers: 'Transfer-Encoding:\tchunked\r\n', body },
      { ...malformed, name: 'a length before chunked', headers: length + chunks, body },
      { ...malformed, name: 'a length behind chunked', headers: chunks + length, body },
      { ...malformed, name: 'no length and chunked', headers: `Content-Length: 0\r\n${chunks}`, body },
      { ...malformed, name: 'identity', headers: 'Transfer-Encoding: identity\r\n' },
      { ...malformed, name: 'identity and a length', headers: `Transfer-Encoding: identity\r\n${length}` },
      ...[
        'gzip, chunked',
        'chunked, gzip',
        'chunked, chunked',
        'identity, chunked',
        'xchunked',
        'chunkedx',
        'chunked;q=1',
        '"chunked"',
        '\vchunked',
        'chunked\v',
        'chunked,',
        ',chunked',
        '',
      ].map((coding) => ({
        ...malformed,
        name: `the coding ${JSON.stringify(coding)}`,
        headers: `Transfer-Encoding: ${coding}\r\n`,
        body,
      })),
      { ...malformed, name: 'chunked twice', headers: chunks + chunks, body },
      {
        ...malformed,
        name: 'gzip, then chunked in a line of its own',
        headers: `Transfer-Encoding: gzip\r\n${chunks}`,
        body,
      },
      { ...malformed, name: 'white space before the colon', headers: 'Transfer-Encoding : chunked\r\n', body },
      { ...malformed, name: 'a folded line', headers: 'Transfer-Encoding:\r\n chunked\r\n', body },
      { ...malformed, name: 'chunked in HTTP/1.0', headers: chunks, body, v: 'HTTP/1.0' },
      {
        ...malformed,
        name: 'chunked and kept alive in HTTP/1.0',
        headers: `${chunks}Connection: keep-alive\r\n`,
        body,
        v: 'HTTP/1.0',
      },
      // A name that is none of ours is no framing: there is no body then, and the chunks are the next request.
      {
        name: 'a name that only looks like it',
        headers: 'Transfer_Encoding: chunked\r\n',
        body,
        answers: [
          [400, 'missing_body'],
          [400, 'malformed_http'],
        ],
        closed: true,
      },
    ]);
  });

  describe('by chunks', () => {
    const end = '\r\n0\r\n\r\n';
    const sized = (size: string, line = '\r\n') => `${size}${line}${body}${end}`;
    judgeAll([
      {
        ...passed,
        name: 'one byte a chunk',
        headers: chunks,
        body: `${[...body].map((byte) => `1\r\n${byte}\r\n`).join('')}0\r\n\r\n`,
      },
      { ...passed, name: 'leading zeros', headers: chunks, body: sized(`${'0'.repeat(30)}${hex}`) },
      {
        ...passed,
        name: 'extensions, which nobody reads',
        headers: chunks,
        body: `${hex};a=b;c="d"\r\n${body}\r\n0;x\r\n\r\n`,
      },
      {
        ...malformed,
        name: 'an extension without an end',
        headers: chunks,
        body: sized(`${hex};a=${'b'.repeat(20_000)}`),
      },
      { ...malformed, name: 'an extension with a line feed in it', headers: chunks, body: sized(`${hex};a\n`) },
      { ...malformed, name: 'an extension with a carriage return in it', headers: chunks, body: sized(`${hex};a\rb`) },
      { ...malformed, name: 'an unfinished quote in an extension', headers: chunks, body: sized(`${hex};a="b`) },
      { ...malformed, name: 'line feeds only', headers: chunks, body: `${hex}\n${body}\n0\n\n` },
      ...['0x10', '+10', '-10', '10 ', ' 10', '1_0', '1 0', '10,10', 'g', '', '10000000000000010'].map((size) => ({
        ...malformed,
        name: `the size ${JSON.stringify(size)}`,
        headers: chunks,
        body: sized(size),
      })),
      { ...malformed, name: 'a chunk longer than its size', headers: chunks, body: sized('f') },
      { ...malformed, name: 'a chunk shorter than its size', headers: chunks, body: sized('11') },
      { ...malformed, name: 'no line end behind a chunk', headers: chunks, body: `${hex}\r\n${body}0\r\n\r\n` },
      {
        name: 'the largest size, and no such chunk',
        headers: chunks,
        body: sized('ffffffffffffffff'),
        answers: [[408, 'request_timeout']],
        closed: true,
        settleMs: 10_000,
      },
      {
        name: 'a large size, and no such chunk',
        headers: chunks,
        body: `7fffffff\r\n${body}`,
        answers: [[408, 'request_timeout']],
        closed: true,
        settleMs: 10_000,
      },
      {
        name: 'no last chunk',
        headers: chunks,
        body: `${hex}\r\n${body}\r\n`,
        answers: [[408, 'request_timeout']],
        closed: true,
        settleMs: 10_000,
      },
      {
        name: 'chunks beyond limits.body',
        headers: chunks,
        body: chunked('x'.repeat(2500)).replace(/0\r\n\r\n$/, chunked('x'.repeat(2500))),
        answers: [[413, 'body_too_large']],
        closed: false,
      },
    ]);
  });

  describe('trailers', () => {
    const trailed = (trailers: string, by = body) => `${by.length.toString(16)}\r\n${by}\r\n0\r\n${trailers}\r\n`;

    it('are neither forwarded nor merged into the head', async () => {
      const trailers =
        'X-Request-Id: trailing\r\nUser-Agent: trailing\r\nContent-Type: text/trailing\r\nX-Opallama-Metadata-Team: trailing\r\n';
      const bytes = hostile.request('POST /api/chat', `${chunks}Trailer: X-Request-Id\r\n`, trailed(trailers));
      const { forwarded, text, events } = await judge(hostile, { ...passed, name: 'trailers', bytes });
      assert.doesNotMatch(`${forwarded[0]?.head}${text}${JSON.stringify(events)}`, /trailing/);
    });

    it('bring no credential', async () => {
      const [credential = ''] = /Authorization.*\r\n/.exec(hostile.request('GET /')) ?? [];
      const bytes =
        hostile.request('POST /api/chat', `${chunks}Trailer: Authorization\r\n`).replace(credential, '') +
        trailed(credential);
      await judge(hostile, { name: 'credential', bytes, answers: [[401, 'missing_credentials']], closed: false });
    });

    it('set neither a host nor an encoding', async () => {
      const bytes = hostile.request(
        'POST /api/chat',
        chunks,
        trailed('Host: evil.example\r\nContent-Encoding: gzip\r\nOrigin: https://evil.example\r\n'),
      );
      const { forwarded } = await judge(hostile, { ...passed, name: 'host', bytes });
      assert.doesNotMatch(forwarded[0]?.head ?? '', /evil|gzip/);
    });

    judgeAll([
      { ...malformed, name: 'that frame the body anew', headers: chunks, body: trailed('Content-Length: 3\r\n') },
      { ...malformed, name: 'that code it anew', headers: chunks, body: trailed('Transfer-Encoding: chunked\r\n') },
      { ...malformed, name: 'without a colon', headers: chunks, body: trailed('none\r\n') },
      { ...malformed, name: 'with a line feed only', headers: chunks, body: trailed('a: b\n') },
      { ...malformed, name: 'that are folded', headers: chunks, body: trailed('a: b\r\n c\r\n') },
      {
        ...malformed,
        name: 'of more than limits.headers',
        headers: chunks,
        body: trailed(`a: ${'b'.repeat(17_000)}\r\n`),
        answers: [[431, 'headers_too_large']],
      },
    ]);
  });
});
