/**
 * `npm run bench:peers`: the sidecar beside other gateways, all in one run and before the same upstream. It installs what is
 * missing (npm, PyPI, Go modules, Debian's packages) and prints the table of docs/performance.md. `--only nginx,Envoy`:
 * those whose names begin so; `--quick`: one round.
 */
import { mkdtemp, open } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { compareGateways, renderComparison } from './measure/gateways.ts';
import { caddy } from './peers/gateways/caddy.ts';
import { envoy } from './peers/gateways/envoy.ts';
import type { Gateway } from './peers/gateways/gateway.ts';
import { haproxy } from './peers/gateways/haproxy.ts';
import { litellm } from './peers/gateways/litellm.ts';
import { nginx } from './peers/gateways/nginx.ts';
import { bareProxy, sidecar } from './peers/gateways/ours.ts';
import { portkey } from './peers/gateways/portkey.ts';
import { withDirectory } from './peers/sidecar-home.ts';

const { values } = parseArgs({ options: { only: { type: 'string' }, quick: { type: 'boolean', default: false } } });

await withDirectory(async (directory) => {
  // To a file: a reader of a pipe would take the time of what is measured.
  const auditLog = await open(join(directory, 'audit.jsonl'), 'w');
  try {
    const all: readonly Gateway[] = [bareProxy, sidecar(auditLog.fd), nginx, haproxy, envoy, caddy, portkey, litellm];
    const wanted = values.only?.toLowerCase().split(',');
    const chosen = all.filter(({ name }) => wanted?.some((one) => name.toLowerCase().startsWith(one)) ?? true);
    const compared = await compareGateways(chosen, {
      rounds: values.quick ? 1 : 5,
      roundMs: 1500,
      warmUpMs: 6000,
      // Some ten thousand requests: V8 drops code of a process that waited (docs/performance.md).
      wakeMs: 2000,
      frames: 200,
      makeDirectory: () => mkdtemp(join(directory, 'peer-')),
    });
    process.stdout.write(renderComparison(compared));
  } finally {
    await auditLog.close();
  }
});
