/** An issuer's documents over real HTTPS: where its keys are, and what is not taken from it. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { IssuerConfig } from '../../src/configured/identity.ts';
import { configurationUrl } from '../../src/identity/discovery.ts';
import { readMaxAge } from '../../src/identity/get-document.ts';
import { createIssuerKeys } from '../../src/identity/issuer-keys.ts';
import { createIssuerKey, startIssuer, type TestIssuer } from '../support/issuer.ts';

const key = createIssuerKey('a');

async function faultOf(t: TestContext, issuer: TestIssuer, over: Partial<IssuerConfig> = {}): Promise<string> {
  const keys = createIssuerKeys(issuer.config(over), { graceMs: 0 });
  t.after(() => keys.close());
  await keys.refresh();
  const { error } = keys.state();
  return error instanceof Error ? error.message : error === undefined ? '' : String(error);
}

function answerJson(response: ServerResponse, document: unknown): void {
  response.end(JSON.stringify(document));
}

test('the keys are found by the OpenID configuration of the issuer', async (t) => {
  const issuer = await startIssuer(t);
  issuer.publish(key);
  const keys = createIssuerKeys(issuer.config(), { graceMs: 0 });
  t.after(() => keys.close());
  await keys.refresh();
  assert.equal(keys.find('ES256', 'a').length, 1);
  assert.deepEqual(issuer.asked, ['/.well-known/openid-configuration', '/keys']);
});

test('with jwks_url nothing else is asked', async (t) => {
  const issuer = await startIssuer(t);
  assert.equal(await faultOf(t, issuer, { jwksUrl: new URL(`${issuer.url}/keys`) }), '');
  assert.deepEqual(issuer.asked, ['/keys']);
});

test('the path of an issuer stays before the well-known one', () => {
  assert.equal(
    configurationUrl('https://id.test/realms/x/').href,
    'https://id.test/realms/x/.well-known/openid-configuration',
  );
});

const refused: readonly (readonly [string, (response: ServerResponse, issuer: TestIssuer) => void, RegExp])[] = [
  [
    'a configuration that names another issuer',
    (response, { url }) => answerJson(response, { issuer: `${url}/`, jwks_uri: `${url}/keys` }),
    /not the configured one/,
  ],
  [
    'keys over plain http',
    (response, { url }) => answerJson(response, { issuer: url, jwks_uri: url.replace('https', 'http') }),
    /no https URL/,
  ],
  [
    'keys in a file',
    (response, { url }) => answerJson(response, { issuer: url, jwks_uri: 'file:///etc/keys' }),
    /no https URL/,
  ],
  [
    'a configuration without keys',
    (response, { url }) => answerJson(response, { issuer: url }),
    /no OpenID configuration/,
  ],
  [
    'a redirect',
    (response, { url }) => response.writeHead(302, { location: `${url}/keys` }).end(),
    /302; redirects are not followed/,
  ],
  ['an error', (response) => response.writeHead(500).end(), /answered 500/],
  ['what is no JSON', (response) => response.end('<html>'), /no JSON/],
  ['what is not UTF-8', (response) => response.end(Buffer.from([0x22, 0xff, 0x22])), /no JSON/],
  ['more than it could need', (response) => response.end(Buffer.alloc(600 * 1024, 0x20)), /more than/],
  [
    'half of what it announced',
    (response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('{');
      setTimeout(() => response.destroy(), 20);
    },
    /could not be reached|half/,
  ],
  ['nothing in time', () => {}, /did not answer within 300 ms/],
];

for (const [what, answer, why] of refused) {
  test(`an issuer that answers with ${what} brings no keys`, async (t) => {
    const issuer = await startIssuer(t);
    issuer.answer = (_request, response) => answer(response, issuer);
    assert.match(await faultOf(t, issuer, { timeout: what === 'nothing in time' ? 300 : 30_000 }), why);
    assert.equal(issuer.asked.length, 1);
  });
}

test('a server that the authorities do not vouch for is not believed', async (t) => {
  const [issuer, other] = [await startIssuer(t), await startIssuer(t)];
  const { tls } = other.config();
  assert.match(await faultOf(t, issuer, { tls }), /could not be reached/);
  assert.deepEqual(issuer.asked, []);
});

test('Cache-Control says how long, and that something must not be kept', () => {
  const cases: readonly (readonly [string | undefined, number | undefined])[] = [
    [undefined, undefined],
    ['public', undefined],
    ['max-age=60', 60],
    ['public, max-age=19205, must-revalidate', 19_205],
    ['max-age="60"', 60],
    ['s-maxage=5', undefined],
    ['no-store', 0],
    ['max-age=600, no-cache', 0],
    ['max-age=-1', undefined],
  ];
  for (const [header, seconds] of cases) assert.equal(readMaxAge(header), seconds, String(header));
});
