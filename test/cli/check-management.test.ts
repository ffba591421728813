/** `opallama check` of a configuration with control planes: what it can't know it says, and nobody is told anything. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { bundleOf, makeDirectory } from '../management/makers.ts';
import { policy } from '../management/managed.ts';
import { startControlPlane } from '../support/control-plane.ts';
import { opallama } from './command.ts';

test('check gets the bundle of a service with its masks, says what it can not know, and reports nothing', async (t) => {
  const plane = await startControlPlane();
  t.after(() => plane.close());
  const masks = { 'system/log.rego': 'package system.log\n\nmask contains "/input/principal"\n' };
  plane.serve('bundles/authz', await bundleOf('r1', { ...policy, ...masks }));
  const cwd = makeDirectory(t);
  const write = (name: string, more: string): void =>
    writeFileSync(
      join(cwd, 'opallama.yaml'),
      `identity: { anonymous: { roles: [guest] } }
management:
  services: [{ name: control, url: "${plane.url}" }]
  status: { service: control }
  decision_logs: { service: control }
${more}
policy: { path: "bundle:${name}", state_dir: state }
`,
    );
  write('authz', '  bundles: [{ name: authz, service: control }]');
  const known = await opallama(['check'], { cwd });
  assert.equal(known.stderr, '');
  assert.match(known.stdout, /revision r1, entrypoint ollama\/authz/);
  assert.equal(known.code, 0);

  write('found', '  discovery: { service: control, resource: discovery.tar.gz, state_dir: state }');
  const found = await opallama(['check'], { cwd });
  assert.equal(found.stderr, '');
  assert.match(found.stdout, /^The bundle found was not looked at: discovery is to name it\.\n/);
  assert.equal(found.code, 0);
  assert.deepEqual([plane.reports.length, plane.uploads.length], [0, 0]);
});
