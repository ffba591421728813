import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { inOnePiece } from '../../src/one-piece.ts';

const script = fileURLToPath(new URL('texts-of-events.ts', import.meta.url));

test('every text in the record of a request is in one piece, or V8 would be three times as long about its JSON', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-texts-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const [shown, named] = [join(directory, 'shown'), join(directory, 'named')];
  // V8 prints past Node's streams, and loses what a pipe does not take at once.
  const child = spawn(process.execPath, ['--allow-natives-syntax', script], {
    stdio: ['ignore', openSync(shown, 'w'), openSync(named, 'w')],
  });
  assert.deepEqual(await once(child, 'exit'), [0, null], readFileSync(named, 'utf8'));

  const names: readonly string[] = JSON.parse(readFileSync(named, 'utf8'));
  const types = readFileSync(shown, 'latin1')
    .split(/^DebugPrint: /m)
    .slice(1)
    .map((text) => / - type: (\w+)_STRING_TYPE/.exec(text)?.[1] ?? 'unknown');
  assert.ok(names.length > 100);
  assert.equal(types.length, names.length);
  assert.deepEqual(
    names.filter((_, index) => /CONS|SLICED|unknown/.test(types[index] ?? '')),
    [],
  );
});

test('a text is the same in one piece, whatever it is', () => {
  for (const text of ['', 'a', 'ä'.repeat(40), '\u{1f600}', '\ud800', 'łódź', 'x'.repeat(5000), '\u0000\u00ff'])
    assert.equal(inOnePiece(text), text);
});
