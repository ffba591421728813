import assert from 'node:assert/strict';
import { test } from 'node:test';
import { engineNames } from '../../src/decision/engines/table.ts';
import { faultsOf, guests, load, secret } from './sources.ts';

/** Configurations with one slip each, and the one fault that must name it. */
const slips: ReadonlyArray<readonly [yaml: string, fault: string]> = [
  ['listne: {}', 'opallama.yaml:2:1: listne: unknown member; did you mean listen?'],
  ['listen: { dta: ":1" }', 'opallama.yaml:2:11: listen.dta: unknown member; did you mean listen.data?'],
  ['base_url: http://x', 'opallama.yaml:2:1: base_url: unknown member here; did you mean upstream.base_url?'],
  ['log: { colour: red }', 'opallama.yaml:2:8: log.colour: unknown member; known in log: level'],
  ['log:\n', 'opallama.yaml:2:1: log: is empty; give it a value or remove it'],
  ['log: debug', 'opallama.yaml:2:1: log: must be a map of members'],
  [
    'log: { level: WARN }',
    'opallama.yaml:2:8: log.level: must be one of trace, debug, info, warn, error, fatal, silent; did you mean warn?',
  ],
  ['audit: { stdout: yes }', 'opallama.yaml:2:10: audit.stdout: must be true or false'],
  ['audit: { files: a.jsonl }', 'opallama.yaml:2:10: audit.files: unknown member; did you mean audit.file?'],
  [
    'audit: { durability: strict }',
    'opallama.yaml:2:10: audit.durability: needs audit.file, the file that it is about',
  ],
  [
    'audit: { file: a.jsonl, heads: { stdout: true } }',
    'opallama.yaml:2:25: audit.heads: need a key: set key_file or key_env. Make one: openssl genpkey -algorithm ed25519 -out heads.pem',
  ],
  [
    'audit: { file: a.jsonl, heads: { key_env: S, url: "http://elsewhere.example" } }',
    'opallama.yaml:2:46: audit.heads.url: must begin with https://, unless it is on this machine',
  ],
  [
    'timeouts: { idle: 60 }',
    'opallama.yaml:2:13: timeouts.idle: 60 is not a duration; write a number and its unit, as in 60s',
  ],
  [
    'timeouts: { total: 1000h }',
    'opallama.yaml:2:13: timeouts.total: "1000h" is too long; at most 596h, or 0s for none',
  ],
  [
    'timeouts: { total: [] }',
    'opallama.yaml:2:13: timeouts.total: must be a duration such as 500ms, 2s, 5m or 1h; 0s means none',
  ],
  [
    'limits: { body: 32MB8 }',
    'opallama.yaml:2:11: limits.body: "32MB8" is not a size; write 32MiB, 16KiB, 1MB or a number of bytes',
  ],
  ['limits: { in_flight: 0 }', 'opallama.yaml:2:11: limits.in_flight: must be at least 1'],
  ['limits: { in_flight: 1.5 }', 'opallama.yaml:2:11: limits.in_flight: must be a whole number'],
  ['limits: { bodies_total: 1MiB }', 'opallama.yaml:2:11: limits.bodies_total: must be at least limits.body'],
  ['limits: { body: 1GiB, bodies_total: 2GiB }', 'opallama.yaml:2:11: limits.body: must be less than 512MiB'],
  ['cors: { origins: https://ui.example }', 'opallama.yaml:2:9: cors.origins: must be a list'],
  ['cors: { origin: [] }', 'opallama.yaml:2:9: cors.origin: unknown member; did you mean cors.origins?'],
  [
    'cors: { origins: ["*"] }',
    'opallama.yaml:2:19: cors.origins[0]: "*" would let in pages that nobody knows; list each origin, as in https://ui.example',
  ],
  [
    'cors: { origins: [https://ui.example/] }',
    'opallama.yaml:2:19: cors.origins[0]: "https://ui.example/" is not an origin; browsers send https://ui.example',
  ],
  ['prefixes: /ollama', 'opallama.yaml:2:1: prefixes: must be a list'],
  ['prefixes: [ollama]', 'opallama.yaml:2:12: prefixes[0]: "ollama" must begin with "/" and name a path'],
  [
    'prefixes: [/a, /b/../c]',
    'opallama.yaml:2:16: prefixes[1]: "/b/../c" must be plain: letters, digits and ._~- between slashes',
  ],
  [
    'policy: { entrypoint: behavry.authz }',
    'opallama.yaml:2:11: policy.entrypoint: "behavry.authz" is a reference; an entrypoint is written with slashes: behavry/authz',
  ],
  [
    'policy: { path: "https://bundles.example/b.tar.gz" }',
    'opallama.yaml:2:11: policy.path: a URL needs policy.state_dir, a directory in which the bundle is kept',
  ],
  [
    'policy: { path: "ftp://bundles.example/b.tar.gz" }',
    'opallama.yaml:2:11: policy.path: must be a directory, a bundle (.tar.gz), or the https:// URL of a bundle',
  ],
  [
    'policy: { path: "https://me:secret@bundles.example/b.tar.gz" }',
    'opallama.yaml:2:11: policy.path: must hold no password; a bearer token goes into policy.bundle.token_file',
  ],
  [
    'policy: { path: p, bundle: { poll: 10s } }',
    'opallama.yaml:2:20: policy.bundle: is for a policy.path that is a URL',
  ],
  [
    'policy: { path: "https://bundles.example/b.tar.gz", state_dir: s, engine: module }',
    'opallama.yaml:2:11: policy.path: the engine module reads no bundle',
  ],
  [
    'policy: { engine: module, path: p.js, signature: { algorithm: HS256, secret_env: OPALLAMA_JWT_SECRET } }',
    'opallama.yaml:2:39: policy.signature: does not go with the engine module, which reads no bundle here',
  ],
  [
    'policy: { path: "http://bundles.example/b.tar.gz", state_dir: s, bundle: { tls: {} } }',
    'opallama.yaml:2:76: policy.bundle.tls: needs a policy.path that begins with https://',
  ],
  [
    'policy: { engine: perl }',
    `opallama.yaml:2:11: policy.engine: must be ${engineNames.length === 1 ? '' : 'one of '}${engineNames.join(', ')}`,
  ],
  [
    'listen: { hosts: ["a.example:80"] }',
    'opallama.yaml:2:19: listen.hosts[0]: must be a host name or an address, without a port',
  ],
  // The place of a member that is not written is that of what it belongs to.
  [
    'listen: { data: ":9464" }',
    'opallama.yaml:2:1: listen.ops: is the same address as listen.data; give each its own port',
  ],
];

for (const [yaml, fault] of slips) {
  test(`"${yaml.trim()}" is refused by one fault that names it`, () => {
    assert.deepEqual(faultsOf({ yaml: `${guests}${yaml}\n` }), [fault]);
  });
}

test('every fault is reported at once, in the order of the file, then variables, then flags', () => {
  const yaml = `listen:
  data: 127.0.0.1:99999
  opps: 1
polcy: {}
upstream: { base_url: "http://user:${secret}@host/" }
identity:
  jwt:
    - { algorithm: HS256, secret_env: OPALLAMA_JWT_SECRET, issuer: https://id.example }
    - { algorithm: hs256, secret: ${secret}, issuer: a, audience: b }
`;
  const faults = faultsOf({
    yaml,
    env: { OPALLAMA_JWT_SECRET: 'short', OPALLAMA_LISTEN_OPS: 'x', OPALLAMA_AUDIT__STDOUT: 'maybe' },
    flags: [{ name: '--policy', path: 'policy.path', value: 's3://bucket' }],
  });
  const places = faults.map((fault) => fault.slice(0, fault.indexOf(': ')));
  assert.deepEqual(places, [
    'opallama.yaml:2:3',
    'opallama.yaml:3:3',
    'opallama.yaml:4:1',
    'opallama.yaml:5:13',
    'opallama.yaml:8:7',
    'opallama.yaml:8:27',
    'opallama.yaml:9:9',
    'opallama.yaml:9:27',
    'OPALLAMA_LISTEN_OPS',
    'OPALLAMA_AUDIT__STDOUT',
    '--policy',
  ]);
  assert.ok(!faults.join('\n').includes(secret), 'what may be a secret is in no message');
});

test('nobody could enter: neither a key nor anonymous', () => {
  const text =
    'nobody could enter; add a key under identity.jwt, an issuer under identity.issuers, or roles for everybody under identity.anonymous';
  assert.deepEqual(faultsOf({ yaml: 'log: { level: info }\n' }), [`opallama.yaml: identity: ${text}`]);
  assert.deepEqual(faultsOf({}), [`configuration: identity: ${text}`]);
  assert.deepEqual(faultsOf({ yaml: 'identity: { jwt: [] }\n' }), [`opallama.yaml:1:1: identity: ${text}`]);
});

test('anonymous callers have a role, and only they are what a wrong credential falls back to', () => {
  assert.deepEqual(faultsOf({ yaml: 'identity: { anonymous: { roles: [] } }\n' }), [
    'opallama.yaml:1:26: identity.anonymous.roles: must not be empty',
  ]);
  const [fault] = faultsOf({
    yaml: 'identity:\n  accept_unknown_credentials: true\n  jwt: [{ algorithm: HS256, secret_env: S, issuer: a, audience: b }]\n',
    env: { S: secret },
  });
  assert.equal(
    fault,
    'opallama.yaml:2:3: identity.accept_unknown_credentials: needs identity.anonymous, whose roles such a caller gets, or identity.client_certificates',
  );
});

test('a name that is special in JavaScript is an unknown member and nothing else', () => {
  const [fault] = faultsOf({ yaml: `${guests}log: { __proto__: { level: debug } }\n` });
  assert.equal(fault, 'opallama.yaml:2:8: log.__proto__: unknown member; known in log: level');
  assert.match(
    faultsOf({ yaml: `${guests}constructor: 1\n` })[0] ?? '',
    /^opallama.yaml:2:1: constructor: unknown member/,
  );
  assert.match(
    faultsOf({ yaml: guests, env: { OPALLAMA_LOG: '{__proto__: {level: debug}}' } })[0] ?? '',
    /^OPALLAMA_LOG: log\.__proto__: unknown member/,
  );
});

test('one of the listeners may not be the upstream', () => {
  const yaml = (data: string, upstream: string) =>
    `${guests}listen: { data: "${data}" }\nupstream: { base_url: "${upstream}" }\n`;
  const same = [
    ['0.0.0.0:11434', 'http://127.0.0.1:11434'],
    ['0.0.0.0:11434', 'http://127.0.0.2:11434'],
    ['127.0.0.1:11434', 'http://localhost:11434/ollama'],
    ['localhost:11434', 'http://[::1]:11434'],
    ['[::]:80', 'http://localhost'],
    ['sidecar.example:8080', 'http://SIDECAR.example:8080'],
    ['127.0.0.1:8080', 'http://127.1:8080'],
    ['127.0.0.1:8080', 'http://0.0.0.0:8080'],
  ] as const;
  for (const [data, upstream] of same) {
    assert.deepEqual(
      faultsOf({ yaml: yaml(data, upstream) }),
      [
        'opallama.yaml:3:13: upstream.base_url: the upstream is an address of the sidecar itself; name the one where Ollama answers',
      ],
      `${data} ${upstream}`,
    );
  }
  for (const [data, upstream] of [
    ['0.0.0.0:8080', 'http://127.0.0.1:11434'],
    ['127.0.0.1:11434', 'http://127.0.0.2:11434'],
    ['127.0.0.1:0', 'http://127.0.0.1:11434'],
    ['127.0.0.1:8080', 'http://ollama:8080'],
  ] as const) {
    assert.equal(load({ yaml: yaml(data, upstream) }).upstream.baseUrl.href, `${upstream}/`);
  }
  assert.deepEqual(faultsOf({ yaml: guests, env: { OLLAMA_HOST: '0.0.0.0:9464' } }), [
    'OLLAMA_HOST: upstream.base_url: the upstream is an address of the sidecar itself; name the one where Ollama answers',
  ]);
});
