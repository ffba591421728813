/** How several workers start, and what ends a start before anything listens. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { loadConfig } from '../../src/config/load.ts';
import { shareLimits } from '../../src/workers/share.ts';
import { loadRecorded, recordSources } from '../../src/workers/sources.ts';
import { opallama } from '../cli/command.ts';
import { makeDirectory } from '../policy/directory.ts';
import { noModule } from '../policy/toolchain-fixture.ts';
import { portOf } from '../support/port-of.ts';

const listen = { data: '127.0.0.1:0', ops: '127.0.0.1:0' };
const policy = 'package ollama.authz\ndefault allow := true\n';

test('a file that a worker can not use ends the start with its fault', { skip: noModule }, async (t) => {
  const home = await makeDirectory(t, { 'policy/authz.rego': policy, 'keys.yaml': 'keys: no list\n' });
  const config = { workers: 2, listen, policy: { path: 'policy' }, identity: { api_keys: { file: 'keys.yaml' } } };
  writeFileSync(join(home, 'opallama.yaml'), JSON.stringify(config));
  const { code, stderr } = await opallama(['serve', '-c', join(home, 'opallama.yaml')], { cwd: home });
  assert.equal(code, 2);
  assert.match(stderr, /The configuration can't be used:\n {2}.*keys\.yaml/);
});

test('an address that is taken ends the start as it does with one process', { skip: noModule }, async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const port = portOf(taken);
  const home = await makeDirectory(t, { 'policy/authz.rego': policy });
  const config = {
    workers: 2,
    listen: { ...listen, data: `127.0.0.1:${port}` },
    policy: { path: 'policy' },
    identity: { anonymous: { roles: ['guest'] } },
  };
  writeFileSync(join(home, 'opallama.yaml'), JSON.stringify(config));
  const { code, stderr } = await opallama(['serve', '-c', join(home, 'opallama.yaml')], { cwd: home });
  assert.equal(code, 2);
  assert.match(stderr, /EADDRINUSE.*Another process listens there/);
});

const sources = { env: {}, cwd: '/', file: 'opallama.yaml', flags: [] };
const parse = (config: object, env: Readonly<Record<string, string>> = {}) =>
  loadConfig({
    ...sources,
    env,
    readFile(path) {
      if (path.endsWith('clients.yaml')) return Buffer.from('clients: []');
      return Buffer.from(JSON.stringify({ identity: { anonymous: { roles: ['guest'] } }, ...config }));
    },
  });

test('so many workers that a body could not fit into the part of one are refused', () => {
  assert.equal(parse({ workers: 8 }).workers, 8);
  assert.throws(
    () => parse({ workers: 9 }),
    /limits\.bodies_total: must be at least limits\.body times workers, 288MiB/,
  );
  assert.throws(() => parse({ workers: 0 }), /workers/);
  assert.throws(() => parse({ workers: 65 }), /workers: must be at most 64/);
});

test('workers have together what is configured, or a little less', () => {
  const { limits, policies } = shareLimits(
    parse({ workers: 3, limits: { in_flight: 100 }, policy: { workers: 4 } }),
    3,
  );
  assert.equal(limits.inFlight, 33);
  assert.equal(limits.bodiesTotal, Math.floor((256 * 1024 * 1024) / 3));
  assert.equal(limits.body, 32 * 1024 * 1024);
  assert.deepEqual(
    policies.map(({ workers }) => workers),
    [2],
  );
  assert.equal(shareLimits(parse({ limits: { in_flight: 1 } }), 4).limits.inFlight, 1);
  const secret = 'a-secret-of-more-than-thirty-two-bytes';
  const endpoint = {
    algorithm: 'HS256',
    secret_env: 'SECRET',
    clients_file: 'clients.yaml',
    issuer: 'i',
    audience: 'a',
  };
  const { identity } = shareLimits(parse({ identity: { token_endpoint: endpoint } }, { SECRET: secret }), 7);
  assert.equal(identity.tokenEndpoint?.perClient, Math.floor(60 / 7));
  assert.equal(identity.tokenEndpoint?.perSource, Math.floor(300 / 7));
});

test('a worker that is started anew has the configuration of the others, whatever stands in the files by then', () => {
  let text = JSON.stringify({ identity: { anonymous: { roles: ['guest'] } }, prefixes: ['/first'] });
  const { sources: read, recorded } = recordSources({ ...sources, readFile: () => Buffer.from(text) });
  assert.deepEqual(loadConfig(read).prefixes, ['/first']);
  text = JSON.stringify({ identity: { anonymous: { roles: ['admin'] } }, prefixes: ['/second'] });
  const { prefixes, identity } = loadRecorded(structuredClone(recorded()));
  assert.deepEqual(prefixes, ['/first']);
  assert.deepEqual(identity.anonymous?.roles, ['guest']);
});
