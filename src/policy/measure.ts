/** How much a policy is, without reading it. */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * @returns bytes of all that would be read of a policy, unpacked; 0 where nothing can be read, which reading it will tell.
 * RFC 1952 section 2.3.1: the last four bytes of a gzip file are its unpacked length.
 */
export async function measurePolicy(path: string): Promise<number> {
  try {
    const found = await stat(path);
    return found.isDirectory() ? await measureDirectory(path, 0) : await measureBundle(path, found.size);
  } catch {
    return 0;
  }
}

const deepest = 32;

async function measureDirectory(directory: string, depth: number): Promise<number> {
  if (depth > deepest) return 0;
  let bytes = 0;
  for (const name of await readdir(directory)) {
    if (name.startsWith('.')) continue;
    const info = await stat(join(directory, name));
    if (info.isDirectory()) bytes += await measureDirectory(join(directory, name), depth + 1);
    else bytes += info.size;
  }
  return bytes;
}

async function measureBundle(path: string, size: number): Promise<number> {
  if (size < 18) return size;
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, size - 4);
    return Math.max(size, buffer.readUInt32LE(0));
  } finally {
    await file.close();
  }
}
