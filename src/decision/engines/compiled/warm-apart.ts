/**
 * Compiled policy is machine code only from its first evaluation on, function by function: 15 ms for 20,000 lines of Rego, in
 * which the thread that decides would serve nobody. Threads share what they make of a module, so another one goes first.
 */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

/** With which the thread is started. */
export interface WarmData {
  readonly module: WebAssembly.Module;
}

// Run from the source by Node it is warm-thread.ts, from the package warm-thread.js.
const script = fileURLToPath(new URL(`./warm-thread${extname(import.meta.url)}`, import.meta.url));

/** A policy may take its time without input too, and is not waited for longer, ms. */
const longestMs = 2000;

/** @param limitMs after which it is not waited for. Never rejects: what could not be warmed is slower once. */
export async function warmApart(module: WebAssembly.Module, limitMs = longestMs): Promise<void> {
  const thread = new Worker(script, {
    name: 'warm policy',
    workerData: { module } satisfies WarmData,
    env: {},
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, limitMs);
    thread.once('error', () => resolve());
    thread.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  await thread.terminate();
}
