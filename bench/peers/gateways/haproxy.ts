/** HAProxy verifies the token and reads one member of the body, by rules of its own. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { model } from '../../load/exchanges.ts';
import { benchSecret } from '../sidecar-home.ts';
import { exec, type Gateway, installPackage, startPrograms } from './gateway.ts';

export const haproxy: Gateway = {
  name: 'HAProxy',
  does: 'token, model of the body',
  async prepare() {
    await installPackage('haproxy', 'haproxy');
    const { stdout } = await exec('haproxy', ['-v']);
    return /version (\d[\d.]*)/.exec(stdout)?.[1] ?? '';
  },
  async start({ port, upstreamPort, directory }) {
    const file = join(directory, 'haproxy.cfg');
    await writeFile(
      file,
      `global
  nbthread 1
  tune.bufsize 65536
  log stderr format raw local0 err
defaults
  mode http
  option http-keep-alive
  option http-buffer-request
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend callers
  bind 127.0.0.1:${port}
  http-request deny deny_status 401 unless { http_auth_bearer,jwt_verify("HS256","${benchSecret}") 1 }
  http-request deny deny_status 403 unless { req.body,json_query('$.model') -m str ${model} }
  default_backend ollama
backend ollama
  http-reuse always
  server one 127.0.0.1:${upstreamPort}
`,
    );
    return await startPrograms({ command: 'haproxy', args: ['-f', file, '-db'], port });
  },
};
