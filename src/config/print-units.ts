/** As `parseDuration` and `parseSize` read them. */

export function printDuration(ms: number): string {
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}

export function printSize(bytes: number): string {
  if (bytes % 1_048_576 === 0) return `${bytes / 1_048_576}MiB`;
  return bytes % 1_024 === 0 ? `${bytes / 1_024}KiB` : `${bytes}B`;
}
