/** The tool chain's module in a process of Node (`child.ts`). */
import { fork } from 'node:child_process';
import { Socket } from 'node:net';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { ChildReply, ChildRequest } from './child.ts';
import type { Wire } from './child-process.ts';

// Run from the source by Node it is child.ts, from the package child.js.
const script = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url));

/** @param wasmFile the file of the WebAssembly module */
export function forkModule(wasmFile: string): Wire {
  const child = fork(script, [wasmFile], {
    // Neither the parent's environment nor its flags: there are secrets in the one and debugger ports in the other.
    env: {},
    execArgv: ['--disable-warning=ExperimentalWarning'],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  return {
    process: child,
    ask(request, onAnswer, onGone) {
      child.removeAllListeners('message');
      child.once('message', (reply: ChildReply) => {
        if ('died' in reply) onGone(`the tool chain's process failed: ${reply.died}`);
        else onAnswer(reply);
      });
      child.send({ request } satisfies ChildRequest, (error) => {
        if (error) onGone(`the tool chain's process is gone: ${error.message}`);
      });
    },
    keepLoopAlive(keep) {
      const verb = keep ? 'ref' : 'unref';
      child[verb]();
      child.channel?.[verb]();
      if (child.stderr instanceof Socket) child.stderr[verb]();
    },
  };
}
