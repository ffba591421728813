/** What the package says it is made of: what it installs, what is compiled into it, and nothing else. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { opaProgramFile } from '../../src/opa-module/module-file.ts';
import { noGo } from '../support/opa-cli.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

const bom = z.object({
  bomFormat: z.literal('CycloneDX'),
  metadata: z.object({ component: z.object({ name: z.string(), version: z.string(), purl: z.string() }) }),
  components: z.array(z.object({ name: z.string(), version: z.string(), purl: z.string() })),
  dependencies: z.array(z.object({ ref: z.string(), dependsOn: z.array(z.string()).optional() })),
});
const lockFile = z.object({
  packages: z.record(
    z.string(),
    z.object({ version: z.string().optional(), dev: z.boolean().optional(), devOptional: z.boolean().optional() }),
  ),
});

/** @returns `name@version` of each package that is installed where the package is */
function shippedPackages(): readonly string[] {
  const { packages } = lockFile.parse(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')));
  const shipped = Object.entries(packages).filter(
    ([path, { dev, devOptional }]) => path !== '' && !dev && !devOptional,
  );
  return [...new Set(shipped.map(([path, { version }]) => `${path.split('node_modules/').at(-1)}@${version}`))].sort();
}

test('npm run sbom lists each dependency of the package, and no other', { skip: noGo }, () => {
  const { status, stdout, stderr } = spawnSync('npm', ['run', '-s', 'sbom'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    timeout: 120_000,
  });
  assert.equal(status, 0, stderr);
  const { metadata, components, dependencies } = bom.parse(JSON.parse(stdout));
  const { version, dependencies: direct } = z
    .object({ version: z.string(), dependencies: z.record(z.string(), z.string()) })
    .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));
  assert.equal(metadata.component.purl, `pkg:npm/opallama@${version}`);

  const of = (kind: string) => components.filter(({ purl }) => purl.startsWith(`pkg:${kind}/`));
  const named = of('npm').map(({ name, version: each }) => `${name}@${each}`);
  assert.deepEqual(named.toSorted(), shippedPackages());
  const own = dependencies.find(({ ref }) => ref === `opallama@${version}`)?.dependsOn;
  assert.deepEqual(
    own?.toSorted(),
    Object.entries(direct)
      .map(([name, each]) => `${name}@${each}`)
      .toSorted(),
  );

  const modules = of('golang').map(({ name, version: each }) => `${name}@${each}`);
  const [, opa] = /(github\.com\/open-policy-agent\/opa) v/.exec(readFileSync(join(root, 'opa/go.mod'), 'utf8')) ?? [];
  assert.ok(modules.some((module) => module.startsWith(`${opa}@v`)));
  assert.ok(modules.some((module) => /^stdlib@1\.\d+/.test(module)));
  assert.equal(of('npm').length + of('golang').length, components.length);
  if (!existsSync(opaProgramFile)) return;
  // Go writes into a program what it is made of; the one of this machine needs one module more, for its system.
  const built = execFileSync('go', ['version', '-m', opaProgramFile], { encoding: 'utf8' });
  const compiled = [...built.matchAll(/^\tdep\t(\S+)\t(v\S+)/gm)].map(([, name, each]) => `${name}@${each}`);
  const system = compiled.filter((module) => module.startsWith('golang.org/x/sys@'));
  assert.deepEqual([...modules.filter((module) => !module.startsWith('stdlib@')), ...system].sort(), compiled.sort());
});
