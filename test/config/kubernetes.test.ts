import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printConfig } from '../../src/config/print.ts';
import { faultsOf, load } from './sources.ts';

const accounts = 'service_accounts: [{ namespace: agents, name: planner, roles: [developer] }]';
const yaml = (section: string) => `identity: { kubernetes: { ${section} } }\n`;

test('in a pod an audience and the accounts are all that has to be said', () => {
  const config = load({ yaml: yaml(`audience: opallama, ${accounts}`) });
  assert.deepEqual(config.identity.kubernetes, {
    issuer: 'https://kubernetes.default.svc.cluster.local',
    audience: 'opallama',
    algorithms: ['RS256', 'ES256'],
    apiServer: new URL('https://kubernetes.default.svc'),
    caFile: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
    tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    jwksFile: undefined,
    maxLifetimeS: 86_400,
    clockToleranceS: 0,
    serviceAccounts: [
      {
        namespace: 'agents',
        name: 'planner',
        roles: ['developer'],
        agentRole: undefined,
        permissions: [],
        tenant: undefined,
      },
    ],
  });
  const printed = printConfig(config);
  assert.equal(printConfig(load({ yaml: printed })), printed);
});

test('files are relative to the configuration', () => {
  const { kubernetes } = load({
    yaml: yaml(`audience: a, jwks_file: jwks.json, ca_file: ca.crt, ${accounts}`),
  }).identity;
  assert.deepEqual([kubernetes?.jwksFile, kubernetes?.caFile], ['/etc/app/jwks.json', '/etc/app/ca.crt']);
});

for (const [section, fault] of [
  [`audience: https://kubernetes.default.svc.cluster.local, ${accounts}`, /audience: is that of the API server/],
  [`audience: https://kubernetes.default.svc, ${accounts}`, /audience: is that of the API server/],
  [`audience: "https://api.example:6443", api_server: "https://api.example:6443", ${accounts}`, /is that of the API/],
  [`audience: a, issuer: a, ${accounts}`, /is that of the API server/],
  [`audience: a, api_server: "http://api.example", ${accounts}`, /api_server: .*https/],
  [`audience: a, algorithms: [HS256], ${accounts}`, /algorithms/],
  [`audience: a, max_lifetime: 1m, ${accounts}`, /max_lifetime: must be at least 10m/],
  ['audience: a, service_accounts: []', /service_accounts/],
  ['audience: a, service_accounts: [{ namespace: "agents*", name: a, roles: [] }]', /namespace: must be a name of/],
  ['audience: a', /service_accounts/],
] as const) {
  test(`a cluster is refused: ${section}`, () => {
    assert.match(faultsOf({ yaml: yaml(section) }).join('\n'), fault);
  });
}
