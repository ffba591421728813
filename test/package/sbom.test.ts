/** What the package says it is made of: what it installs, what is compiled into it, and nothing of its development. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const root = fileURLToPath(new URL('../../', import.meta.url));

const bom = z.object({
  bomFormat: z.literal('CycloneDX'),
  metadata: z.object({ component: z.object({ name: z.string(), version: z.string() }) }),
  components: z.array(z.object({ name: z.string(), version: z.string(), purl: z.string() })),
});

test('the bill of materials has each dependency, transitive ones and those of Go, and no development', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts/write-sbom.ts')], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    timeout: 120_000,
  });
  assert.equal(status, 0, stderr);
  const { metadata, components } = bom.parse(JSON.parse(stdout));
  const manifest: {
    readonly version: string;
    readonly dependencies: Readonly<Record<string, string>>;
    readonly devDependencies: Readonly<Record<string, string>>;
  } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  assert.deepEqual([metadata.component.name, metadata.component.version], ['opallama', manifest.version]);
  const found = new Map(components.map(({ name, version }) => [name, version]));
  for (const [name, version] of Object.entries(manifest.dependencies)) assert.equal(found.get(name), version, name);
  for (const name of Object.keys(manifest.devDependencies)) assert.ok(!found.has(name), name);
  assert.ok(found.has('httpxy'), 'what dependencies bring');
  const [, opa] =
    /github\.com\/open-policy-agent\/opa (v\S+)/.exec(readFileSync(join(root, 'opa/go.mod'), 'utf8')) ?? [];
  assert.equal(found.get('github.com/open-policy-agent/opa'), opa);
  assert.equal(new Set(components.map(({ purl }) => purl)).size, components.length);
});
