/** Each policy of the suite in a real OPA server of its own, on a Unix socket. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before } from 'node:test';

import { buildLimitMs, buildOpaCli, noGo } from '../../support/opa-cli.ts';
import { type OpaServer, opaConfig, startOpaServer } from '../../support/opa-server.ts';
import { testEngine } from './suite.ts';

before(() => (noGo === false ? buildOpaCli() : undefined), { timeout: buildLimitMs });

const sockets = mkdtempSync(join(tmpdir(), 'opallama-opa-'));
const servers = new Map<string, Promise<OpaServer>>();
after(async () => {
  for (const starting of servers.values()) await starting.then((server) => server.kill()).catch(() => undefined);
  rmSync(sockets, { recursive: true, maxRetries: 10 });
});

testEngine({
  engine: 'opa',
  kind: 'rego',
  skip: noGo,
  async configure(directory) {
    const socket = join(sockets, `${basename(directory)}.sock`);
    const starting = servers.get(directory) ?? startOpaServer({ bundle: directory, socket });
    servers.set(directory, starting);
    await starting;
    return { opa: opaConfig({ socket }) };
  },
});
