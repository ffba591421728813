/** The two that every other one is held against. */
import { readFile } from 'node:fs/promises';

import { buildBundle } from '../../measure/bundle.ts';
import { startPeer } from '../process.ts';
import { awaitReady, defaultPolicy, furnishSidecar } from '../sidecar-home.ts';
import type { Gateway } from './gateway.ts';

export const bareProxy: Gateway = {
  name: 'http-proxy-middleware',
  does: 'passes on',
  async prepare() {
    return `${await versionOf('http-proxy-middleware')}, Express ${await versionOf('express')}`;
  },
  start: ({ upstreamPort }) => startPeer({ script: 'bare.ts', args: [`http://127.0.0.1:${upstreamPort}`] }),
};

/** @param auditFd where its audit lines go */
export function sidecar(auditFd: number): Gateway {
  return {
    name: 'opallama',
    does: 'token, Rego over the body, audit, metrics, token counts',
    async prepare() {
      return readVersion(new URL('../../../package.json', import.meta.url));
    },
    async start({ upstreamPort, directory }) {
      const home = await furnishSidecar(directory, await buildBundle(directory, defaultPolicy), upstreamPort);
      const listening = async (): Promise<number> => {
        await awaitReady(home.opsPort);
        return home.dataPort;
      };
      return await startPeer({ script: 'sidecar.ts', args: home.args, env: home.env, stdout: auditFd, listening });
    },
  };
}

function versionOf(name: string): Promise<string> {
  return readVersion(new URL(`../../../node_modules/${name}/package.json`, import.meta.url));
}

async function readVersion(file: URL): Promise<string> {
  return String(Reflect.get(Object(JSON.parse(await readFile(file, 'utf8'))), 'version'));
}
