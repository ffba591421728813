/** What a restart does where the policy that is configured can't be loaded. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { PolicyConfig } from '../../src/configured/policy.ts';
import { startTestSidecar, type TestSidecar } from '../support/in-process.ts';

const roles = 'package ollama.authz\ndefault allow := false\nallow if "guest" in input.principal.roles\n';
const noted = (number: number) => `${roles}dynamic_metadata := {"policy": ${number}, "data": data.number}\n`;
const broken = 'package ollama.authz\nallow if {\n';

test('the last good policy decides where the configured one is broken, and says so', async (t) => {
  const place = makePlace(t);
  place.write({ 'authz.rego': noted(1), 'data.json': '{"number": 1}' });
  const first = await place.start();
  const decided = await ask(first);
  assert.deepEqual(decided?.dynamic_metadata, { policy: 1, data: 1 });
  await first.close();

  place.write({ 'authz.rego': broken });
  const second = await place.start();
  const event = await ask(second);
  assert.deepEqual(event?.dynamic_metadata, { policy: 1, data: 1 });
  assert.equal(event?.revision, decided?.revision);
  // What is known of it was kept with it: it reads no content.
  assert.deepEqual(Object.keys(event?.input ?? {}), Object.keys(decided?.input ?? {}));
  assert.match(await second.metrics(), /opallama_policy_loaded_revision_info\{revision="\w+",origin="kept"\} 1/);
  assert.match(await second.metrics(), /opallama_policy_reload_total\{result="failure"\} 1/);
  const ready = await fetch(`${second.opsUrl}/readyz?verbose`);
  assert.equal(ready.status, 200);
  const text = await ready.text();
  assert.match(text, /^policy: revision \w+ decides, kept from an earlier run$/m);
  assert.match(text, /^policy: the change of \S+ was refused: .*\n +authz\.rego:\d+: rego_parse_error: /m);

  // What is configured counts again as soon as it is whole.
  place.write({ 'authz.rego': noted(2), 'data.json': '{"number": 2}' });
  await second.app.reload();
  assert.deepEqual((await ask(second))?.dynamic_metadata, { policy: 2, data: 2 });
  assert.match(await second.metrics(), /origin="configured"\} 1/);
  assert.doesNotMatch(await (await fetch(`${second.opsUrl}/readyz?verbose`)).text(), /kept|refused/);
});

test('a compiled policy and an interpreted one come back as they were, to the last digit', async (t) => {
  for (const engine of ['wasm', 'topdown']) {
    const place = makePlace(t, { engine });
    place.write({
      'authz.rego': noted(1),
      'authz_test.rego': 'package t\n',
      'data.json': '{"number": 12345678901234567890}',
    });
    const first = await place.start();
    await ask(first);
    await first.close();
    rmSync(place.path, { recursive: true, maxRetries: 10 });
    const second = await place.start();
    const event = await ask(second);
    assert.match(JSON.stringify(event?.dynamic_metadata), /"data":12345678901234567890[,}]/, engine);
    await second.close();
  }
});

test('files of Cedar are kept too', async (t) => {
  const place = makePlace(t, { engine: 'cedar' });
  place.write({ 'authz.cedar': 'permit (principal in Opallama::Role::"guest", action, resource);' });
  await (await place.start()).close();
  rmSync(place.path, { recursive: true, maxRetries: 10 });
  const second = await place.start();
  assert.equal((await ask(second))?.policy_result, 'allow');
});

test('without a directory for it nothing is kept, and a broken policy stops the start', async (t) => {
  const place = makePlace(t);
  place.write({ 'authz.rego': noted(1), 'data.json': '{"number": 1}' });
  await (await place.start({ stateDir: undefined })).close();
  place.write({ 'authz.rego': broken });
  await assert.rejects(place.start({ stateDir: undefined }), /does not compile/);
  await assert.rejects(place.start(), /does not compile.* Nor is there a kept one to stand in: .*can't be read/);
});

test('what was kept of another source, engine or entrypoint does not stand in', async (t) => {
  const place = makePlace(t);
  place.write({ 'authz.rego': noted(1), 'data.json': '{"number": 1}' });
  await (await place.start()).close();
  const other = join(place.path, '..', 'other');
  await assert.rejects(place.start({ path: other }), /is of another source, engine or signature/);
  place.write({ 'authz.rego': broken });
  await assert.rejects(place.start({ engine: 'topdown' }), /is of another source, engine or signature/);
  await assert.rejects(place.start({ entrypoint: 'other' }), /is of another source, engine or signature/);
});

test('a kept policy that is not whole does not stand in', async (t) => {
  const place = makePlace(t);
  place.write({ 'authz.rego': noted(1), 'data.json': '{"number": 1}' });
  await (await place.start()).close();
  assert.deepEqual(readdirSync(place.stateDir), ['policy.lineage.json', 'policy.revisions', 'policy.tar.gz']);
  const file = join(place.stateDir, 'policy.tar.gz');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const whole = readFileSync(file);
  place.write({ 'authz.rego': broken });
  const cut = Buffer.from(whole);
  cut.writeUInt8((cut.at(-9) ?? 0) ^ 1, cut.length - 9);
  for (const bytes of [whole.subarray(0, whole.length - 40), cut, Buffer.alloc(0)]) {
    writeFileSync(file, bytes);
    await assert.rejects(place.start(), /Nor is there a kept one to stand in: .*not a whole/);
  }
});

test('what an earlier run left half written is in nobody’s way', async (t) => {
  const place = makePlace(t);
  place.write({ 'authz.rego': noted(1), 'data.json': '{"number": 1}' });
  mkdirSync(place.stateDir);
  writeFileSync(join(place.stateDir, 'policy.tar.gz.new'), Buffer.alloc(1_000_000, 1));
  await (await place.start()).close();
  assert.deepEqual(readdirSync(place.stateDir), ['policy.lineage.json', 'policy.revisions', 'policy.tar.gz']);
  place.write({ 'authz.rego': broken });
  await (await place.start()).close();
});

interface Place {
  readonly path: string;
  readonly stateDir: string;
  write(files: Readonly<Record<string, string>>): void;
  start(over?: Partial<PolicyConfig>): Promise<TestSidecar>;
}

function makePlace(t: TestContext, config: Partial<PolicyConfig> = {}): Place {
  const root = mkdtempSync(join(tmpdir(), 'opallama-kept-'));
  t.after(() => rmSync(root, { recursive: true, maxRetries: 10, force: true }));
  const [path, stateDir] = [join(root, 'policies'), join(root, 'state')];
  mkdirSync(path);
  return {
    path,
    stateDir,
    write(files) {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
    },
    async start(over) {
      const sidecar = await startTestSidecar({
        upstream: 'http://127.0.0.1:9',
        anonymousRoles: ['guest'],
        policyConfig: { path, stateDir, ...config, ...over },
      });
      let closing: Promise<void> | undefined;
      const close = () => (closing ??= sidecar.close());
      t.after(close);
      return { ...sidecar, close };
    },
  };
}

/** The upstream is not there: that an allowed request failed is no matter here. */
async function ask(sidecar: TestSidecar) {
  const before = sidecar.events.length;
  await (await fetch(`${sidecar.url}/api/tags`)).arrayBuffer();
  await sleep(0);
  return (await sidecar.waitForEvents(before + 1)).at(-1);
}
