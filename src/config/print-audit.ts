import type { AuditFileConfig, AuditHeadsConfig } from '../configured/audit.ts';
import { printDuration, printSize } from './print-units.ts';

/** The members of the section `audit` that are about the file. */
export function printAuditFile(config: AuditFileConfig): Record<string, unknown> {
  const { path, durability, onFailure, rotate, keep, heads } = config;
  return {
    file: path,
    durability,
    on_failure: onFailure,
    rotate: { size: printSize(rotate.size), every: printDuration(rotate.every) },
    keep: { days: keep.forMs / 86_400_000, ...(keep.bytes > 0 && { size: printSize(keep.bytes) }) },
    ...(heads && { heads: printHeads(heads) }),
  };
}

function printHeads({ source, every, stdout, file, url, tokenSource }: AuditHeadsConfig): Record<string, unknown> {
  return {
    [source.member]: source.value,
    every: printDuration(every),
    stdout,
    ...(file !== undefined && { file }),
    ...(url && { url: url.href }),
    ...(tokenSource && { [tokenSource.member]: tokenSource.value }),
  };
}
