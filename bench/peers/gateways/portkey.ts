/** Portkey's gateway reads and writes each body, and knows neither callers nor policies in what is published. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { exec, type Gateway, installOnce, startPrograms } from './gateway.ts';

const version = '1.15.2';

export const portkey: Gateway = {
  name: 'Portkey',
  does: 'reads the body, passes on',
  rewrites: true,
  noStreams:
    'This version answers 500 to a stream by way of a custom host, under Node 20 and 26: it writes to fixed headers.',
  headers: (upstreamPort) => ({
    'x-portkey-provider': 'ollama',
    'x-portkey-custom-host': `http://127.0.0.1:${upstreamPort}`,
  }),
  async prepare() {
    await install();
    return version;
  },
  async start({ port }) {
    const script = join(await install(), 'node_modules/@portkey-ai/gateway/build/start-server.js');
    // It refuses upstreams on a private address unless they are named.
    const env = { NODE_ENV: 'production', TRUSTED_CUSTOM_HOSTS: '127.0.0.1,localhost' };
    return await startPrograms({
      command: process.execPath,
      args: [script, `--port=${port}`, '--headless'],
      env,
      port,
    });
  },
};

function install(): Promise<string> {
  return installOnce(`portkey-${version}`, async (directory) => {
    await writeFile(join(directory, 'package.json'), '{"private":true}');
    await exec('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', `@portkey-ai/gateway@${version}`], {
      cwd: directory,
    });
  });
}
