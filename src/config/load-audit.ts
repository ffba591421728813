import type { KeyObject } from 'node:crypto';
import { createPublicKey } from 'node:crypto';
import { resolve } from 'node:path';

import { ConfigError } from '../errors.ts';
import { loadAudit } from './audit.ts';
import { audit } from './audit-schema.ts';
import { describeIssue, type Fault, formatFaults, type Path } from './faults.ts';
import { placeOf, valueAt } from './layers.ts';
import { type ConfigSources, mergeSources } from './sources.ts';

/** Where an audit log lies, as the configuration has it, and what its heads are known by. */
export interface AuditPlaces {
  readonly file: string | undefined;
  readonly headsFile: string | undefined;
  /** Public; undefined where the private one can't be read here, as on another host. */
  readonly key: KeyObject | undefined;
}

/**
 * Of the section `audit` what commands need that read a log, and no key and no other section.
 *
 * @throws ConfigError for faults of that section, or a file that can't be read
 */
export function loadAuditPlaces(sources: ConfigSources): AuditPlaces {
  const { layers, whole, directory, readable, faults: merged } = mergeSources(sources);
  const faults: Fault[] = [...merged];
  const report = (path: Path, text: string): void => {
    faults.push({ place: placeOf(layers, path, whole), path, text });
  };
  const result = audit.safeParse(valueAt(layers.tree, ['audit']));
  for (const issue of readable ? (result.error?.issues ?? []) : []) {
    const path = ['audit', ...issue.path.filter((part) => typeof part !== 'symbol')];
    for (const fault of describeIssue(issue, path, valueAt(layers.tree, path))) report(fault.path, fault.text);
  }
  if (!result.success || faults.length > 0) throw new ConfigError(formatFaults(faults));
  const from = (path: Path): string =>
    placeOf(layers, path, { kind: 'none', label: '', order: 0 }).kind === 'file' ? directory : sources.cwd;
  const { env, cwd, readFile } = sources;
  const { file } = loadAudit(result.data, { env, cwd, readFile, directory: from, report: () => {} });
  const headsFile = result.data.heads?.file;
  return {
    file: file?.path,
    headsFile: headsFile === undefined ? undefined : resolve(from(['audit', 'heads', 'file']), headsFile),
    key: file?.heads && createPublicKey(file.heads.key),
  };
}
