/** Each row of what an entrypoint may return, and what becomes of it. Whatever is not understood denies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { narrow } from '../../src/decision/narrow.ts';
import type { EntrypointShape } from '../../src/types.ts';

const allowed = 'allowed';

/** `allowed`, or the code of the first reason. */
function outcome(result: unknown, shape: EntrypointShape = 'allow', beyondDenyList?: string): string {
  const narrowed = narrow([result], { shape, beyondDenyList });
  assert.equal(narrowed.httpStatus === 200, narrowed.allowed, 'only an allow is answered with 200');
  if (!narrowed.allowed) assert.ok(narrowed.reasons.length > 0, 'a denial says why');
  return narrowed.allowed ? allowed : (narrowed.reasons[0]?.code ?? '');
}

const shapes: readonly EntrypointShape[] = ['rule', 'allow', 'deny_list', 'unknown'];

test('a boolean decides', () => {
  for (const shape of shapes) {
    assert.equal(outcome(true, shape), allowed);
    assert.equal(outcome(false, shape), 'policy_denied');
  }
});

test('no result and several results deny, whatever they are', () => {
  for (const shape of shapes) {
    const options = { shape, beyondDenyList: undefined };
    assert.equal(narrow([], options).reasons[0]?.code, 'policy_undefined');
    assert.equal(narrow([true, true], options).reasons[0]?.code, 'policy_ambiguous');
    assert.equal(narrow([{ allow: true }, { allow: true }], options).allowed, false);
  }
});

test('any other type denies', () => {
  for (const value of [undefined, null, 0, 1, 'true', '', [], [true], [['allow', true]], Number.NaN, 'allow']) {
    for (const shape of shapes) assert.equal(outcome(value, shape), 'policy_malformed', JSON.stringify(value));
  }
});

const table: ReadonlyArray<readonly [result: Record<string, unknown>, outcome: string]> = [
  [{ allow: true }, allowed],
  [{ allowed: true }, allowed],
  [{ allow: true, allowed: true }, allowed],
  [{ allow: true, allowed: false }, 'policy_denied'],
  [{ allow: false, allowed: true }, 'policy_denied'],
  [{ allow: false }, 'policy_denied'],
  [{ allow: false, reasons: ['quota_used'] }, 'quota_used'],
  [{}, 'policy_undefined'],
  [{ Allow: true }, 'policy_undefined'],
  [{ result: true }, 'policy_undefined'],
  [{ allow: 'true' }, 'policy_malformed'],
  [{ allow: 1 }, 'policy_malformed'],
  [{ allow: null }, 'policy_malformed'],
  [{ allow: [true] }, 'policy_malformed'],
  [{ allow: true, allowed: null }, 'policy_malformed'],
  // deny
  [{ allow: true, deny: false }, allowed],
  [{ allow: true, deny: [] }, allowed],
  [{ allow: true, deny: true }, 'policy_denied'],
  [{ allow: true, deny: ['model_not_allowed'] }, 'model_not_allowed'],
  [{ allow: true, deny: ['This model is not for you.'] }, 'policy_denied'],
  [{ allow: true, deny: [{ code: 'x_1', message: 'no' }] }, 'x_1'],
  [{ allow: true, deny: [{ code: 'x_1' }] }, 'x_1'],
  [{ deny: ['a'] }, 'a'],
  [{ allow: true, deny: null }, 'policy_malformed'],
  [{ allow: true, deny: '' }, 'policy_malformed'],
  [{ allow: true, deny: 0 }, 'policy_malformed'],
  [{ allow: true, deny: {} }, 'policy_malformed'],
  [{ allow: true, deny: { code: 'x' } }, 'policy_malformed'],
  [{ allow: true, deny: [null] }, 'policy_malformed'],
  [{ allow: true, deny: [false] }, 'policy_malformed'],
  [{ allow: true, deny: [[]] }, 'policy_malformed'],
  [{ allow: true, deny: [{}] }, 'policy_malformed'],
  [{ allow: true, deny: [{ message: 'no code' }] }, 'policy_malformed'],
  [{ allow: true, deny: [{ code: 'Upper Case' }] }, 'policy_malformed'],
  [{ allow: true, deny: [{ code: 'line\nbreak' }] }, 'policy_malformed'],
  [{ allow: true, deny: [{ code: 'x'.repeat(65) }] }, 'policy_malformed'],
  [{ allow: true, deny: [{ code: 'x', message: 1 }] }, 'policy_malformed'],
  // reasons
  [{ allow: true, reasons: ['why'] }, allowed],
  [{ allow: true, reasons: true }, 'policy_malformed'],
  [{ allow: true, reasons: false }, 'policy_malformed'],
  [{ allow: true, reasons: 'why' }, 'policy_malformed'],
  [{ allow: true, reasons: [7] }, 'policy_malformed'],
  // http_status
  ...[399, 500, 200, 403.5, '403', null, -403, Number.NaN].map(
    (status) => [{ allow: true, http_status: status }, 'policy_malformed'] as const,
  ),
  [{ allow: true, http_status: 429 }, allowed],
  // headers
  [{ allow: true, headers: {} }, allowed],
  [{ allow: true, headers: { 'x-team': 'a' } }, allowed],
  ...(['headers', 'response_headers_to_add'] as const).flatMap((member) => [
    ...[null, [], 'x: y', 7, true, { 'x-a': 1 }, { 'x-a': null }, { 'x-a': ['b'] }].map(
      (value) => [{ allow: true, [member]: value }, 'policy_malformed'] as const,
    ),
    ...[{ 'x a': 'b' }, { '': 'b' }, { 'x-a': 'b\r\nx: y' }, { 'x-a': '\u0000' }, { 'x-a': 'é\u{1f600}' }].map(
      (value) => [{ allow: true, [member]: value }, 'policy_malformed'] as const,
    ),
  ]),
  ...[null, 'x-a', {}, [1], [['x-a']], true].map(
    (value) => [{ allow: true, request_headers_to_remove: value }, 'policy_malformed'] as const,
  ),
  [{ allow: true, request_headers_to_remove: ['X-A'] }, allowed],
  // dynamic_metadata and body
  ...[null, [], 'x', 1, true].map((value) => [{ allow: true, dynamic_metadata: value }, 'policy_malformed'] as const),
  [{ allow: true, dynamic_metadata: { a: 1 } }, allowed],
  [{ allow: true, body: null }, allowed],
  // obligations
  [{ allow: true, obligations: {} }, allowed],
  [{ allow: true, obligations: null }, 'policy_malformed'],
  [{ allow: true, obligations: [] }, 'policy_malformed'],
  [{ allow: true, obligations: 'none' }, 'policy_malformed'],
  ...['model', 'route', 'set', 'limits', 'redact_request', 'Response', '', '__proto__'].map(
    (name) =>
      [{ allow: true, obligations: JSON.parse(`{${JSON.stringify(name)}: {}}`) }, 'unknown_obligation'] as const,
  ),
  // Other rules of the package are its own business.
  [{ allow: true, default_model: 'x', _private: [1] }, allowed],
];

for (const [result, expected] of table) {
  test(`${JSON.stringify(result).slice(0, 100)}: ${expected}`, () => {
    assert.equal(outcome(result), expected);
    // A policy that says allow or deny itself is read alike, whatever is known of its shape.
    if ('allow' in result || 'allowed' in result) {
      for (const shape of shapes) assert.equal(outcome(result, shape, 'models.pull'), expected, shape);
    }
  });
}

test('what is malformed beside a deny denies as well', () => {
  for (const rest of [{ headers: 7 }, { http_status: 200 }, { allow: 'x' }, { dynamic_metadata: 1 }, { reasons: 1 }]) {
    assert.equal(outcome({ deny: ['a'], ...rest }), 'policy_malformed');
  }
});

test('a deny-list allows what no rule denies', () => {
  assert.equal(outcome({}, 'deny_list'), allowed);
  assert.equal(outcome({ deny: false }, 'deny_list'), allowed);
  assert.equal(outcome({ deny: [] }, 'deny_list'), allowed);
  assert.equal(outcome({ deny: true }, 'deny_list'), 'policy_denied');
  assert.equal(outcome({ deny: ['x'] }, 'deny_list'), 'x');
  assert.equal(outcome({ deny: 'x' }, 'deny_list'), 'policy_malformed');
  assert.equal(outcome({ obligations: { model: 'x' } }, 'deny_list'), 'unknown_obligation');
  for (const shape of ['rule', 'allow', 'unknown'] as const) {
    assert.equal(outcome({ deny: [] }, shape), 'policy_undefined', shape);
    assert.equal(outcome({}, shape), 'policy_undefined', shape);
  }
});

test('a deny-list does not allow by silence what only a name can', () => {
  assert.equal(outcome({}, 'deny_list', 'models.pull'), 'deny_list_operation');
  assert.equal(outcome({ deny: false }, 'deny_list', 'cloud'), 'deny_list_operation');
  assert.equal(outcome({ deny: ['x'] }, 'deny_list', 'cloud'), 'x');
});

test('no policy sets a header that frames the message, names its destination or carries a credential', () => {
  const names =
    'authorization connection content-encoding content-length cookie expect host keep-alive proxy-authenticate ' +
    'proxy-authorization proxy-connection set-cookie te trailer transfer-encoding upgrade x-api-key';
  for (const name of names.split(' ')) {
    for (const spelled of [name, name.toUpperCase()]) {
      assert.equal(outcome({ allow: true, headers: { [spelled]: 'x' } }), 'policy_malformed', spelled);
      assert.equal(outcome({ allow: true, response_headers_to_add: { [spelled]: 'x' } }), 'policy_malformed', spelled);
    }
  }
});

test('every member of a decision is carried over, names of headers in lower case', () => {
  const narrowed = narrow(
    [
      {
        allow: true,
        deny: [],
        reasons: ['seen', { code: 'b', message: 'because' }],
        http_status: 451,
        body: { a: 1 },
        headers: { 'X-Team': 'a' },
        request_headers_to_remove: ['Traceparent'],
        response_headers_to_add: { 'X-Policy': 'b' },
        debug_log: true,
        dynamic_metadata: { team: 'a' },
      },
    ],
    { shape: 'allow', beyondDenyList: undefined },
  );
  assert.deepEqual(narrowed, {
    allowed: true,
    reasons: [
      { code: 'seen', message: 'seen' },
      { code: 'b', message: 'because' },
    ],
    httpStatus: 200,
    body: { a: 1 },
    headers: { 'x-team': 'a' },
    requestHeadersToRemove: ['traceparent'],
    responseHeadersToAdd: { 'x-policy': 'b' },
    debugLog: true,
    dynamicMetadata: { team: 'a' },
    obligations: {},
  });
});

test('a denial keeps its status, its body and every reason, denials first', () => {
  const narrowed = narrow(
    [{ allow: true, deny: ['one', 'Two.'], reasons: ['three'], http_status: 451, body: 'no', headers: { 'x-a': 'b' } }],
    { shape: 'allow', beyondDenyList: undefined },
  );
  assert.equal(narrowed.allowed, false);
  assert.deepEqual(narrowed.reasons, [
    { code: 'one', message: 'one' },
    { code: 'policy_denied', message: 'Two.' },
    { code: 'three', message: 'three' },
  ]);
  assert.deepEqual([narrowed.httpStatus, narrowed.body, narrowed.headers], [451, 'no', { 'x-a': 'b' }]);
});
