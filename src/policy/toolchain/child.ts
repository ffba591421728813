/**
 * The child process that runs OPA's tool chain. It holds some 250 MB, which only the end of a process gives back, so it
 * is started when needed and ended when idle (`child-process.ts`). Its one argument is the file of the module.
 *
 * The module gets no file, no network, no environment and no argument: a policy that is being compiled or tested can
 * reach nothing but what it was handed.
 */

import { createOpaInstance } from '../../opa-module/instance.ts';
import { compileOpaModule } from '../../opa-module/module-file.ts';

/** From the parent: a command of `protocol.ts` with its name, as JSON. Written there, because exact numbers are no plain objects. */
export interface ChildRequest {
  readonly request: string;
}

/** To the parent. `json` is what the module answered; `bytes` comes with it for `compile`. `died`: the last message. */
export type ChildReply = { readonly json: string; readonly bytes: Uint8Array } | { readonly died: string };

function reply(message: ChildReply, then?: () => void): void {
  process.send?.(message, undefined, undefined, () => then?.());
}

// Go's runtime can't be used again after a trap or an exit, so the process ends and the next call gets a new one.
function die(error: unknown): void {
  reply({ died: error instanceof Error ? error.message : `exit ${String(error)}` }, () => process.exit(1));
}

const ready = compileOpaModule(process.argv[2]).then(createOpaInstance);
ready.catch(die);

process.on('message', (message: ChildRequest) => {
  ready.then((opa) => reply(opa.serve(Buffer.from(message.request)))).catch(die);
});
process.on('disconnect', () => process.exit(0));
