/**
 * `npm run bench`: what the sidecar costs, against the upstream alone and against bare Express with http-proxy-middleware,
 * in one run. `--quick`: short; `--json`: for machines; `--profiles <directory>`: leaves V8's profiles there.
 */
import { mkdir, open } from 'node:fs/promises';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { isMet, render } from './figures.ts';
import { measureAll } from './measure/all.ts';
import { full, quick } from './measure/plan.ts';
import { withDirectory } from './peers/sidecar-home.ts';

const { values } = parseArgs({
  options: {
    profiles: { type: 'string' },
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
  },
});

if (values.profiles !== undefined) await mkdir(values.profiles, { recursive: true });
await withDirectory(async (directory) => {
  // To a file: a reader of a pipe would take the time of what is measured.
  const auditLog = await open(join(directory, 'audit.jsonl'), 'w');
  try {
    const measured = await measureAll(
      values.quick ? quick : full,
      { directory, auditFd: auditLog.fd },
      values.profiles,
    );
    const results = {
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      cpus: `${availableParallelism()} x ${cpus()[0]?.model ?? 'unknown'}`,
      quick: values.quick,
      ...measured,
    };
    const figures = results.figures.map((figure) => ({ ...figure, met: isMet(figure) }));
    process.stdout.write(values.json ? `${JSON.stringify({ ...results, figures }, undefined, 2)}\n` : render(results));
  } finally {
    await auditLog.close();
  }
});
