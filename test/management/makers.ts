/** Bundles and places for the tests of this folder. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { packBundle } from '../../src/policy/write-bundle.ts';
import { policy } from './managed.ts';

export function bundleOf(revision: string, files: Readonly<Record<string, string>> = policy): Promise<Uint8Array> {
  const manifest = JSON.stringify({ revision, roots: ['ollama', 'system', 'discovery'] });
  const all = Object.entries({ ...files, '.manifest': manifest });
  return packBundle(new Map(all.map(([name, text]) => [name, Buffer.from(text)])));
}

export function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-management-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10, force: true }));
  return directory;
}
