/** Loaded into a sidecar before its own code: tells on SIGUSR2, in a line on stderr, what only the process itself can count. */
import { createHook, executionAsyncId } from 'node:async_hooks';
import { writeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

// `process.getActiveResourcesInfo` leaves out those that keep no process alive, which nearly all of a server's are.
const timers = new Set<number>();
createHook({
  init(id, type) {
    if (type === 'Timeout') timers.add(id);
  },
  destroy: (id) => void timers.delete(id),
}).enable();

setFlagsFromString('--expose-gc');
const collectGarbage: unknown = runInNewContext('gc');

/** What nobody holds any more is no leak. Buffers are given back behind the collection, by another thread. */
function collect(): void {
  if (typeof collectGarbage === 'function') collectGarbage();
}

process.on('SIGUSR2', () => {
  collect();
  const look = setTimeout(() => {
    timers.delete(executionAsyncId());
    collect();
    const { heapUsed, external } = process.memoryUsage();
    writeSync(2, `inside ${JSON.stringify({ heap: (heapUsed + external) / 1e6, timers: timers.size })}\n`);
  }, 200);
  look.unref();
});
