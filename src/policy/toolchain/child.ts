/**
 * The child process that runs OPA's tool chain. It holds some 250 MB, which only the end of a process gives back, so it
 * is started when needed and ended when idle (`child-process.ts`). Its one argument is the file of the module.
 *
 * The module gets no file, no network, no environment and no argument: a policy that is being compiled or tested can
 * reach nothing but what it was handed.
 */
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

/** From the parent. `request` is a command of `protocol.ts` with its name. */
export interface ChildRequest {
  readonly request: Readonly<Record<string, unknown>>;
}

/** To the parent. `json` is what the module answered; `bytes` comes with it for `compile`. `died`: the last message. */
export type ChildReply = { readonly json: string; readonly bytes: Uint8Array } | { readonly died: string };

type Serve = (request: unknown) => { readonly json: string; readonly bytes: Uint8Array };

async function instantiate(file: string): Promise<Serve> {
  const wasi = new WASI({ version: 'preview1', args: [], env: {}, preopens: {} });
  const module = await WebAssembly.compile(await readFile(file));
  const instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.wasiImport });
  wasi.initialize(instance);
  const { memory, allocate, serve } = instance.exports;
  if (!(memory instanceof WebAssembly.Memory) || typeof allocate !== 'function' || typeof serve !== 'function') {
    throw new Error(`${file} is not the module that opa/ builds`);
  }
  // Layout of both buffers: opa/exports_wasip1.go. The memory may be another buffer after every call, since it grows.
  return (request) => {
    const bytes = Buffer.from(JSON.stringify(request));
    const to = address(allocate(bytes.length));
    new Uint8Array(memory.buffer, to, bytes.length).set(bytes);
    const at = address(serve());
    const view = new DataView(memory.buffer, at, 8);
    const jsonLength = view.getUint32(0, true);
    const bytesLength = view.getUint32(4, true);
    return {
      json: Buffer.from(memory.buffer, at + 8, jsonLength).toString('utf8'),
      bytes: new Uint8Array(memory.buffer, at + 8 + jsonLength, bytesLength).slice(),
    };
  };
}

/** Pointers are unsigned; JavaScript gets an i32. */
function address(pointer: unknown): number {
  if (typeof pointer !== 'number') throw new Error('the module returned no address');
  return pointer >>> 0;
}

function reply(message: ChildReply, then?: () => void): void {
  process.send?.(message, undefined, undefined, () => then?.());
}

// Go's runtime can't be used again after a trap or an exit, so the process ends and the next call gets a new one.
function die(error: unknown): void {
  reply({ died: error instanceof Error ? error.message : `exit ${String(error)}` }, () => process.exit(1));
}

const ready = instantiate(process.argv[2] ?? '');
ready.catch(die);

process.on('message', (message: ChildRequest) => {
  ready.then((serve) => reply(serve(message.request))).catch(die);
});
process.on('disconnect', () => process.exit(0));
