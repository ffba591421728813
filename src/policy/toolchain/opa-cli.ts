import type { Toolchain } from './protocol.ts';
export function createOpaToolchain(_options: { readonly command: string; readonly deadlineMs: number }): Toolchain {
  throw new Error('later');
}
