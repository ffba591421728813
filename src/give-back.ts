import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Gives what has piled up so far, the modules' texts and the parsed configuration, back to the machine: V8 would keep it for the
 * life of a sidecar that has little to do. Takes some 20 ms.
 *
 * To be called before a policy or a listener is made: what is collected this way loses what V8 has learned of it, and a
 * request cost 15 % more CPU time where it was called once everything stood.
 *
 * Where V8 has no such call any more, nothing happens.
 */
export function giveMemoryBack(): void {
  // Node has the call behind a flag, which only contexts made from then on see.
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect === 'function') collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
