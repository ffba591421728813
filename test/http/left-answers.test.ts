/** How a request counts whose client left with the answer: by what it had been told by then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createExit } from '../../src/http/exit.ts';
import { createTap } from '../../src/stream/tap.ts';

const line = (frame: object): Buffer => Buffer.from(`${JSON.stringify(frame)}\n`);
const progress = { status: 'pulling manifest' };

for (const [what, frames, outcome, error] of [
  ['in the middle', [progress], 'aborted', 'client_closed_request'],
  ['behind the last frame', [progress, { status: 'success' }], 'complete', undefined],
  ['behind a frame that tells of an error', [progress, { error: 'connection refused' }], 'error', undefined],
] as const) {
  test(`a client that leaves ${what} makes it ${outcome}`, () => {
    const tap = createTap('ollama.progress', 'ndjson');
    for (const frame of frames) tap.observe(line(frame));
    const exit = createExit(200, 'client_left', tap)();
    assert.deepEqual([exit.outcome, exit.error, exit.status], [outcome, error, 200]);
  });
}
