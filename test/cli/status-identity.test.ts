/** What `opallama status` says of whom a sidecar believes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { hasStaleIdentity, printIdentity } from '../../src/cli/status-identity.ts';
import { adminToken } from '../support/admin.ts';
import { startAnsweringUpstream } from '../support/answering-upstream.ts';
import { startTestSidecar } from '../support/in-process.ts';
import { createIssuerKey, startIssuer } from '../support/issuer.ts';
import { opallama } from './command.ts';

test('status tells of an issuer, of its keys, and that they can not be had any more', async (t) => {
  const issuer = await startIssuer(t);
  const key = createIssuerKey('a');
  issuer.publish(key, { ...key, jwk: { kty: 'oct', k: 'AAAA' } });
  const sidecar = await startTestSidecar({
    upstream: await startAnsweringUpstream(t),
    issuers: [issuer.config()],
    adminTokens: { oncall: adminToken },
  });
  t.after(() => sidecar.close());
  const call = (...args: string[]) =>
    opallama(['status', '--admin-url', sidecar.adminUrl, ...args], { env: { OPALLAMA_ADMIN_TOKEN: adminToken } });
  const fresh = await call();
  assert.equal(fresh.code, 0, fresh.stderr);
  assert.match(fresh.stdout, /^identity\n {2}issuer http\S+ +1 key +of \d{4}-\S+Z\n {4}key a +\S+ +published$/m);
  assert.match(fresh.stdout, /^ {2}http\S+: not used: key 1: its kty/m);

  issuer.answer = (_request, response) => void response.writeHead(500).end();
  await sidecar.app.reload();
  const old = await call();
  assert.equal(old.code, 1, 'keys that can not be had are a finding');
  assert.match(
    old.stdout,
    /^ {2}http\S+: the keys can not be had since; those of \d{4}-\S+Z count: http\S+ answered 500$/m,
  );
  const machine = JSON.parse((await call('--format', 'json')).stdout);
  assert.deepEqual([machine.identity.issuers[0].issuer, machine.identity.files], [issuer.url, []]);
  assert.match(machine.identity.issuers[0].error, /answered 500/);
});

test('files of keys and revocations are told of with the change that was refused, and nothing where there are none', () => {
  const revocations = {
    source: 'revocations',
    path: '/etc/opallama/revocations.yaml',
    loaded_at: '2026-11-21T10:00:00.000Z',
  };
  const keys = { source: 'api_keys', path: '/etc/opallama/keys\u001b[2J.yaml', loaded_at: '2026-11-21T09:00:00.000Z' };
  const refused = { at: '2026-11-21T11:00:00.000Z', summary: 'is no YAML' };
  const fresh = { issuers: [], files: [revocations, keys] };
  assert.equal(hasStaleIdentity(fresh), false);
  assert.equal(
    printIdentity(fresh),
    [
      'identity',
      '  revocations  /etc/opallama/revocations.yaml    of 2026-11-21T10:00:00.000Z',
      '  api_keys     /etc/opallama/keys\\u{1b}[2J.yaml  of 2026-11-21T09:00:00.000Z',
      '',
    ].join('\n'),
  );
  const stale = { issuers: [], files: [revocations, { ...keys, refused }] };
  assert.equal(hasStaleIdentity(stale), true);
  assert.match(
    printIdentity(stale),
    /^ {2}api_keys: the change of 2026-11-21T11:00:00\.000Z was refused, the former content counts: the file is no YAML$/m,
  );
  assert.equal(printIdentity({ issuers: [], files: [] }), '');
});

test('a key that was removed says until when it counts, and an issuer that never answered that nobody enters by it', () => {
  const removed = { kid: 'old', algorithms: ['RS256'], published: false, usable_until: '2026-11-21T12:00:00.000Z' };
  const printed = printIdentity({
    issuers: [
      { issuer: 'https://id.example', refreshed_at: '2026-11-21T10:00:00.000Z', keys: [removed], ignored: [] },
      { issuer: 'https://new.example', keys: [], ignored: [], error: 'no route' },
    ],
    files: [],
  });
  assert.match(printed, /key old +RS256 +removed, until 2026-11-21T12:00:00\.000Z$/m);
  assert.match(
    printed,
    /https:\/\/new\.example: the keys can not be had and never were: its tokens are refused: no route$/m,
  );
});
