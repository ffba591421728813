/** Our table against the router of the Ollama that the tests build: a route that it has and we lack fails here. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { routes } from '../../src/input/routes.ts';
import { ollamaVersion, run } from '../support/ollama/cache.ts';

/** Routes of Ollama's that are not proxied, and why. */
const refused: Readonly<Record<string, string>> = {};

/** As gin writes them: a parameter has a colon. */
const served = routes.flatMap(({ methods, path }) =>
  methods.map((method) => `${method} ${path.replace(/\{(\w+)\}$/, ':$1').replace(':key', ':encodedKey')}`),
);

async function readRouter(): Promise<string> {
  const modules = join(import.meta.dirname, '..', '..', 'scripts', 'known-members');
  const dir = (
    await run('go', ['list', '-m', '-f', '{{.Version}} {{.Dir}}', 'github.com/ollama/ollama'], { cwd: modules })
  ).trim();
  const [version, path] = dir.split(' ');
  assert.equal(version, `v${ollamaVersion}`);
  assert.ok(path, 'the module is not in the cache of Go modules: run "go mod download" in scripts/known-members');
  const source = await readFile(join(path, 'server', 'routes.go'), 'utf8');
  const body = /\nfunc \(s \*Server\) GenerateRoutes\(.*?\n\}\n/s.exec(source)?.[0];
  assert.ok(body !== undefined, 'GenerateRoutes is gone');
  return body;
}

test("every route of Ollama's router is in our table, or refused for a reason, and we have no other", async () => {
  const router = await readRouter();
  const registered = Array.from(
    router.matchAll(/\br\.([A-Z]+)\("([^"]+)"/g),
    ([, method, path]) => `${method} ${path}`,
  );
  assert.ok(registered.length >= 35, `${registered.length} routes found`);
  // Any other way to register a route would not be seen above.
  const calls = Array.from(router.matchAll(/\br\.(\w+)\(/g), ([, name = '']) => name);
  assert.deepEqual(
    calls.filter((name) => !/^[A-Z]+$/.test(name)),
    ['Use'],
  );
  assert.deepEqual(registered.toSorted(), [...served, ...Object.keys(refused)].sort());
});
