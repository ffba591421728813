/** Caddy with OPA compiled into it (bench/peers/caddy): the token and the body are judged by Rego in the same process. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { nameByContent } from '../../../test/support/build-cache.ts';
import { model } from '../../load/exchanges.ts';
import { audience, benchSecret, issuer } from '../sidecar-home.ts';
import { exec, type Gateway, installOnce, startPrograms } from './gateway.ts';

const source = fileURLToPath(new URL('../caddy/', import.meta.url));

const rego = `package bench

default allow := false

allow if {
	startswith(input.authorization, "Bearer ")
	[valid, _, claims] := io.jwt.decode_verify(substring(input.authorization, 7, -1), {
		"secret": "${benchSecret}", "iss": "${issuer}", "aud": "${audience}", "alg": "HS256",
	})
	valid
	"developer" in claims.roles
	input.body.model == "${model}"
}
`;

export const caddy: Gateway = {
  name: 'Caddy with OPA',
  does: 'token and body by Rego in the same process',
  async prepare() {
    const { stdout } = await exec('go', ['version', '-m', await buildCaddy()], { maxBuffer: 16 << 20 });
    const versionOf = (module: string) => new RegExp(`dep\\s+${module}\\s+v(\\S+)`).exec(stdout)?.[1] ?? '';
    return `${versionOf('github.com/caddyserver/caddy/v2')}, OPA ${versionOf('github.com/open-policy-agent/opa')}`;
  },
  async start({ port, upstreamPort, directory }) {
    const [config, policy] = [join(directory, 'caddy.json'), join(directory, 'bench.rego')];
    await writeFile(policy, rego);
    const proxy = {
      handler: 'reverse_proxy',
      flush_interval: -1,
      upstreams: [{ dial: `127.0.0.1:${upstreamPort}` }],
      transport: { protocol: 'http', keep_alive: { max_idle_conns_per_host: 256 } },
    };
    const route = { handle: [{ handler: 'opa', file: policy, query: 'data.bench.allow' }, proxy] };
    const http = { servers: { bench: { listen: [`127.0.0.1:${port}`], routes: [route] } } };
    const logging = { logs: { default: { level: 'ERROR' } } };
    await writeFile(config, JSON.stringify({ admin: { disabled: true }, logging, apps: { http } }));
    const env = { XDG_CONFIG_HOME: directory, XDG_DATA_HOME: directory };
    return await startPrograms({ command: await buildCaddy(), args: ['run', '--config', config], env, port });
  },
};

async function buildCaddy(): Promise<string> {
  const files = ['main.go', 'go.mod', 'go.sum'].map((name) => join(source, name));
  const directory = await installOnce(await nameByContent('caddy', files), async (into) => {
    await exec('go', ['build', '-trimpath', '-o', join(into, 'caddy'), '.'], {
      cwd: source,
      env: { ...process.env, GOFLAGS: '-buildvcs=false', GOOS: '', GOARCH: '' },
      maxBuffer: 16 << 20,
    });
  });
  return join(directory, 'caddy');
}
