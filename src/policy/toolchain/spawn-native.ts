/** The tool chain as a program of this machine. The layout of what it reads and writes stands in `opa/main_unix.go`. */
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';

import type { ChildAnswer, Wire } from './child-process.ts';

/** As much as the module takes in one call, bytes. */
const longestCall = 256 * 1024 * 1024;

/** @param file the program */
export function spawnNative(file: string): Wire {
  // No environment: there are secrets in it. The program itself gives up files and network.
  const child = spawn(file, [], { env: {}, cwd: '/', stdio: ['pipe', 'pipe', 'pipe'] });
  const { stdin, stdout, stderr } = child;
  let listen: ((answer: ChildAnswer) => void) | undefined;
  let received: Buffer[] = [];
  let length = 0;
  stdout.on('data', (chunk: Buffer) => {
    received.push(chunk);
    length += chunk.length;
    if (length < wholeLength(received)) return;
    const whole = Buffer.concat(received);
    received = [];
    length = 0;
    listen?.(readAnswer(whole));
  });
  // Of a program that has died while it was written to; its end tells that.
  stdin.on('error', () => undefined);

  return {
    process: child,
    ask(request, onAnswer, onGone) {
      listen = onAnswer;
      const bytes = Buffer.from(request);
      if (bytes.length > longestCall) {
        child.kill('SIGKILL');
        return onGone(`OPA's tool chain takes at most ${longestCall} bytes in one call.`);
      }
      const size = Buffer.alloc(4);
      size.writeUInt32LE(bytes.length);
      stdin.write(size);
      stdin.write(bytes);
    },
    keepLoopAlive(keep) {
      const verb = keep ? 'ref' : 'unref';
      child[verb]();
      for (const stream of [stdin, stdout, stderr]) if (stream instanceof Socket) stream[verb]();
    },
  };
}

const headLength = 8;

/** Infinite as long as it is not known. */
function wholeLength(received: Buffer[]): number {
  const [first] = received;
  if (first === undefined) return Infinity;
  if (first.length < headLength) {
    received.splice(0, received.length, Buffer.concat(received));
    const [joined] = received;
    if (joined === undefined || joined.length < headLength) return Infinity;
    return wholeLength(received);
  }
  return headLength + first.readUInt32LE(0) + first.readUInt32LE(4);
}

function readAnswer(whole: Buffer): ChildAnswer {
  const jsonEnd = headLength + whole.readUInt32LE(0);
  return { json: whole.toString('utf8', headLength, jsonEnd), bytes: new Uint8Array(whole.subarray(jsonEnd)) };
}
