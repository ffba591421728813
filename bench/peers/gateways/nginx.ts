/** nginx knows no tokens and reads no bodies without its commercial modules: it is the cheapest way through at all. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { exec, type Gateway, installPackage, startPrograms } from './gateway.ts';

export const nginx: Gateway = {
  name: 'nginx',
  does: 'passes on',
  async prepare() {
    await installPackage('nginx-light', 'nginx');
    const { stderr } = await exec('nginx', ['-v']);
    return /nginx\/(\S+)/.exec(stderr)?.[1] ?? '';
  },
  async start({ port, upstreamPort, directory }) {
    const file = join(directory, 'nginx.conf');
    await writeFile(
      file,
      `daemon off; worker_processes 1; user root; pid ${directory}/pid; error_log stderr error;
events { worker_connections 4096; }
http {
  access_log ${directory}/access.log; client_body_temp_path ${directory}; proxy_temp_path ${directory};
  fastcgi_temp_path ${directory}; uwsgi_temp_path ${directory}; scgi_temp_path ${directory};
  keepalive_requests 1000000;
  upstream ollama { server 127.0.0.1:${upstreamPort}; keepalive 256; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://ollama; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}
`,
    );
    return await startPrograms({ command: 'nginx', args: ['-c', file, '-p', directory], port });
  },
};
