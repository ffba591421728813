/** What a browser asks and is told, by bytes: preflights, answers, errors, and origins that may not call. */
import assert from 'node:assert/strict';
import { after, before, it as define, describe } from 'node:test';
import { patient } from '../support/at-best.ts';
import { headerOf, type RawMessage, statusOf } from '../support/raw-http.ts';
import { type Hostile, startHostile } from './hostile.ts';

// Times are short here: what a held up process spoils is carried out anew.
const it = patient(define);

const ui = 'https://ui.example';
const exposed = 'x-request-id, x-opallama-decision-id, x-opallama-reason, retry-after';

const policy = {
  'authz.rego': `package ollama.authz

default allow := false

allow if input.model != "denied"

allow if not input.model

response_headers_to_add := {"access-control-allow-origin": "*", "vary": "x"} if input.model == "generous"
`,
};

function assertGranted(answer: RawMessage | undefined, origin = ui): asserts answer is RawMessage {
  assert.ok(answer !== undefined);
  assert.equal(headerOf(answer, 'access-control-allow-origin'), origin);
  assert.equal(headerOf(answer, 'access-control-expose-headers'), exposed);
  assert.equal(headerOf(answer, 'vary'), 'Origin');
  assert.equal(headerOf(answer, 'access-control-allow-credentials'), undefined);
  const names = answer.headers.map(([name]) => name.toLowerCase());
  assert.equal(names.length, new Set(names).size, 'a header stands twice');
}

function assertNotGranted(answer: RawMessage | undefined): asserts answer is RawMessage {
  assert.ok(answer !== undefined);
  const names = answer.headers.map(([name]) => name.toLowerCase());
  assert.deepEqual(
    names.filter((name) => name.startsWith('access-control-')),
    [],
  );
}

describe('a sidecar that some web pages may call', () => {
  let hostile: Hostile;

  before(async () => {
    hostile = await startHostile({ policy, origins: [ui, 'http://localhost:3000', 'tauri://localhost'] });
  });
  after(() => hostile.close());

  const preflight = (origin: string, more = '', path = '/v1/chat/completions') =>
    `OPTIONS ${path} HTTP/1.1\r\nHost: x\r\nOrigin: ${origin}\r\nAccess-Control-Request-Method: POST\r\n${more}\r\n`;
  const call = (body: string, more = '') =>
    hostile.request('POST /api/chat', `Origin: ${ui}\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n`, body);

  it('answers a preflight itself, without a credential, and records it once', async () => {
    for (const origin of [ui, 'http://localhost:3000', 'tauri://localhost']) {
      const asked = 'Access-Control-Request-Headers: authorization,content-type,x-stainless-os\r\n';
      const { answers, events, forwarded, closed } = await hostile.send(preflight(origin, asked), {
        methods: ['OPTIONS'],
      });
      const [answer] = answers;
      assertNotForwarded(forwarded);
      assert.equal(closed, false);
      assert.ok(answer !== undefined);
      assert.equal(statusOf(answer), 204);
      assert.equal(headerOf(answer, 'access-control-allow-origin'), origin);
      assert.equal(headerOf(answer, 'vary'), 'Origin');
      assert.equal(headerOf(answer, 'access-control-allow-headers'), 'authorization,content-type,x-stainless-os');
      assert.match(headerOf(answer, 'access-control-allow-methods') ?? '', /\bPOST\b/);
      assert.equal(headerOf(answer, 'access-control-max-age'), '600');
      assert.equal(headerOf(answer, 'access-control-allow-credentials'), undefined);
      // RFC 9110, 8.6: no length with 204.
      assert.equal(headerOf(answer, 'content-length'), undefined);
      assert.equal(headerOf(answer, 'transfer-encoding'), undefined);
      const [{ method, status, outcome, error, principal, policy_result } = {}] = events;
      assert.deepEqual(
        { method, status, outcome, error, principal, policy_result },
        {
          method: 'OPTIONS',
          status: 204,
          outcome: 'complete',
          error: undefined,
          principal: undefined,
          policy_result: 'none',
        },
      );
    }
  });

  it('tells a preflight nothing about routes', async () => {
    const seen = [];
    for (const path of ['/api/chat', '/no/such/route']) {
      const { answers } = await hostile.send(preflight(ui, '', path), { methods: ['OPTIONS'] });
      seen.push([answers[0]?.startLine, headerOf(answers[0] ?? assert.fail(), 'access-control-allow-methods')]);
    }
    assert.deepEqual(seen[0], seen[1]);
  });

  it('grants no header whose name is none, nor endless ones', async () => {
    for (const names of ['a\tb', 'a b', '"a"', 'a,,b', 'x'.repeat(3000)]) {
      const asked = `Access-Control-Request-Headers: ${names}\r\n`;
      const { answers } = await hostile.send(preflight(ui, asked), { methods: ['OPTIONS'] });
      assert.equal(answers[0] && statusOf(answers[0]), 204);
      assert.equal(answers[0] && headerOf(answers[0], 'access-control-allow-headers'), undefined, names);
    }
  });

  it('refuses a preflight of another origin, one with a body, and one with an odd target', async () => {
    const cases: ReadonlyArray<readonly [bytes: string, status: number, code: string]> = [
      [preflight('https://evil.example'), 403, 'forbidden_origin'],
      [preflight('null'), 403, 'forbidden_origin'],
      [preflight(`${ui}.evil.example`), 403, 'forbidden_origin'],
      [preflight(ui.toUpperCase()), 403, 'forbidden_origin'],
      [preflight(`${ui}\r\nOrigin: https://evil.example`), 403, 'forbidden_origin'],
      [preflight(`${ui}, https://evil.example`), 403, 'forbidden_origin'],
      [preflight(ui, 'Content-Length: 2\r\n').concat('{}'), 400, 'body_not_allowed'],
      [preflight(ui, '', '/a//b'), 400, 'invalid_target'],
      [preflight(ui, '', '*'), 400, 'invalid_target'],
      [preflight(ui, 'Upgrade: h2c\r\n'), 400, 'upgrade_refused'],
    ];
    for (const [bytes, status, code] of cases) {
      const { answers, events, forwarded } = await hostile.send(bytes, { methods: ['OPTIONS'] });
      assertNotForwarded(forwarded);
      assert.deepEqual([answers[0] && statusOf(answers[0]), events.map(({ error }) => error)], [status, [code]], bytes);
      if (code === 'forbidden_origin')
        assert.notEqual(headerOf(answers[0] ?? assert.fail(), 'access-control-allow-origin'), 'https://evil.example');
      else assertGranted(answers[0]);
    }
  });

  it('takes OPTIONS for an ordinary request where it is no preflight', async () => {
    const bare = `OPTIONS /api/chat HTTP/1.1\r\nHost: x\r\nOrigin: ${ui}\r\n\r\n`;
    const { answers, events } = await hostile.send(bare, { methods: ['OPTIONS'] });
    assertGranted(answers[0]);
    assert.deepEqual(
      events.map(({ status, error }) => [status, error]),
      [[401, 'missing_credentials']],
    );
    const withoutOrigin = 'OPTIONS /api/chat HTTP/1.1\r\nHost: x\r\nAccess-Control-Request-Method: POST\r\n\r\n';
    const other = await hostile.send(withoutOrigin, { methods: ['OPTIONS'] });
    assertNotGranted(other.answers[0]);
    assert.deepEqual(
      other.events.map(({ error }) => error),
      ['missing_credentials'],
    );
  });

  it('lets the page read an answer, and says nothing of the page to the upstream', async () => {
    const { answers, forwarded, events } = await hostile.send(
      call('{"model":"tiny"}', 'Referer: https://ui.example/x\r\nSec-Fetch-Mode: cors\r\n'),
    );
    assertGranted(answers[0]);
    assert.equal(statusOf(answers[0]), 200);
    assert.deepEqual(
      events.map(({ outcome }) => outcome),
      ['complete'],
    );
    assert.equal(forwarded.length, 1);
    assert.doesNotMatch(forwarded[0]?.head ?? '', /origin|referer|sec-fetch|ui\.example/i);
  });

  it('lets the page read errors and denials', async () => {
    const cases: ReadonlyArray<readonly [bytes: string, code: string]> = [
      [call('{"model":"denied"}'), 'policy_denied'],
      [call('{"model":'), 'invalid_json'],
      [call('{}', 'Content-Encoding: gzip\r\n'), 'unsupported_encoding'],
      [call('{}').replace(/Authorization.*\r\n/, ''), 'missing_credentials'],
      [call('{}').replace('/api/chat', '/api/nowhere'), 'unknown_route'],
      [call(`{"model":"${'x'.repeat(5000)}"}`), 'body_too_large'],
      [call('{"model":"reset"}'), 'upstream_reset'],
    ];
    for (const [bytes, code] of cases) {
      const { answers } = await hostile.send(bytes);
      assertGranted(answers[0]);
      assert.equal(headerOf(answers[0], 'x-opallama-reason'), code);
    }
  });

  it('is not overruled by a policy that is more generous', async () => {
    assertGranted((await hostile.send(call('{"model":"generous"}'))).answers[0]);
  });

  it('tells caches that an answer to nobody in particular is not for a page', async () => {
    const { answers } = await hostile.send(call('{"model":"tiny"}').replace(/Origin.*\r\n/, ''));
    assertNotGranted(answers[0]);
    assert.equal(headerOf(answers[0], 'vary'), 'Origin');
  });
});

describe('a sidecar that no web page may call', () => {
  it('refuses preflights and calls alike, and tells nobody why in a header of CORS', async (t) => {
    const hostile = await startHostile({ policy });
    t.after(() => hostile.close());
    const headers = `Origin: ${ui}\r\nAccess-Control-Request-Method: POST\r\n`;
    for (const method of ['OPTIONS', 'POST']) {
      const bytes = hostile.request(`${method} /api/chat`, headers);
      const { answers, events, forwarded } = await hostile.send(bytes, { methods: [method] });
      assertNotForwarded(forwarded);
      assertNotGranted(answers[0]);
      assert.equal(headerOf(answers[0], 'vary'), undefined);
      assert.deepEqual(
        events.map(({ status, error }) => [status, error]),
        [[403, 'forbidden_origin']],
      );
    }
  });
});

function assertNotForwarded(forwarded: readonly unknown[]): void {
  assert.deepEqual(forwarded, []);
}
