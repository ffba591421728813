export function mebibytes(bytes: number): number {
  return bytes / (1024 * 1024);
}
