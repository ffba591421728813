/** Writes an OPA bundle: a gzipped tar whose bytes depend on its content alone. */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

import { PolicyError } from '../errors.ts';

const blockBytes = 512;

/**
 * @param files by path without a leading slash
 * @returns the same bytes for the same files: sorted, without times, owners or the name of a system
 */
export async function packBundle(files: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
  const sorted = [...files].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const blocks = sorted.flatMap(([name, bytes]) => [
    // OPA looks for the modules of a manifest under names that begin with a slash.
    makeHead(`/${name}`, bytes.length),
    bytes,
    Buffer.alloc((blockBytes - (bytes.length % blockBytes)) % blockBytes),
  ]);
  const packed = await promisify(gzip)(Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)]), { level: 9 });
  // RFC 1952, section 2.3.1: the byte that says on which system it was packed; 255 is "unknown".
  packed[9] = 255;
  return packed;
}

/** POSIX ustar: fields of fixed width, numbers in octal, the sum of all bytes with the sum's own field blank. */
function makeHead(path: string, size: number): Buffer {
  const { name, prefix } = splitPath(path);
  const head = Buffer.alloc(blockBytes);
  head.write(name, 0);
  head.write('0000644\0', 100, 'latin1');
  head.write('0000000\0', 108, 'latin1');
  head.write('0000000\0', 116, 'latin1');
  head.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  head.write('00000000000\0', 136, 'latin1');
  head.write(' '.repeat(8), 148, 'latin1');
  head.write('0', 156, 'latin1');
  head.write('ustar\u000000', 257, 'latin1');
  head.write(prefix, 345);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return head;
}

const nameBytes = 100;
const prefixBytes = 155;

function splitPath(path: string): { readonly name: string; readonly prefix: string } {
  if (Buffer.byteLength(path) <= nameBytes) return { name: path, prefix: '' };
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
    const prefix = path.slice(0, at);
    const name = path.slice(at + 1);
    if (Buffer.byteLength(prefix) <= prefixBytes && Buffer.byteLength(name) <= nameBytes) return { name, prefix };
  }
  throw new PolicyError(`The name ${path} is too long for a bundle. Shorten it.`);
}
