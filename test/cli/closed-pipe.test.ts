import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

import { root } from './command.ts';

for (const [args, code] of [
  [['schema', 'input'], 0],
  [['fmt', '--check', join(root, 'no-such-file.rego')], 2],
] as const) {
  test(`opallama ${args[0]} says with its exit code what it found, also to a reader that has read enough`, async () => {
    const child = spawn(process.execPath, [join(root, 'bin/opallama.js'), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    const [stderr, [ended]] = await Promise.all([text(child.stderr), once(child, 'close')]);
    assert.equal(ended, code, stderr);
    assert.doesNotMatch(stderr, /EPIPE/);
  });
}
