import { resolve } from 'node:path';
import type { TlsFiles, TlsMaterial, TlsPart } from '../configured/tls.ts';
import { checkMaterial, type TlsBytes, tlsParts } from '../tls/material.ts';
import type { Environment } from './environment.ts';
import { errorCode } from './keys.ts';
import { valueAt } from './layers.ts';

/** How a section spells each part. */
export type TlsMembers = Readonly<Record<TlsPart, string>>;

export const listenTlsFiles: TlsMembers = { cert: 'cert_file', key: 'key_file', ca: 'client_ca_file' };
export const upstreamTlsFiles: TlsMembers = { cert: 'cert_file', key: 'key_file', ca: 'ca_file' };

export interface LoadedTls {
  readonly files: TlsFiles;
  readonly material: TlsMaterial;
}

export interface TlsSources extends Pick<Environment, 'readFile'> {
  /** That a path of this member is relative to. */
  readonly directory: (member: string) => string;
  readonly report: (member: string, text: string) => void;
}

/**
 * Reads and checks the files that a section names, as it stands in the configuration: a fault elsewhere in the section
 * hides none of the files.
 *
 * @returns undefined where the section is not there, or something was reported
 */
export function loadTls(section: unknown, members: TlsMembers, sources: TlsSources): LoadedTls | undefined {
  if (section === undefined) return undefined;
  let faulty = false;
  const report = (member: string, text: string): void => {
    faulty = true;
    sources.report(member, text);
  };
  const files: Record<TlsPart, string | undefined> = { cert: undefined, key: undefined, ca: undefined };
  const bytes: Partial<Record<TlsPart, Uint8Array>> = {};
  for (const part of tlsParts) {
    const written = valueAt(section, [members[part]]);
    // What is wrong with any other value is said by the check of the section.
    if (typeof written !== 'string' || written === '') continue;
    const path = resolve(sources.directory(members[part]), written);
    files[part] = path;
    try {
      bytes[part] = sources.readFile(path);
    } catch (error) {
      report(members[part], `cannot read ${path}${errorCode(error)}`);
    }
  }
  const checked = checkMaterial(bytes satisfies TlsBytes, Date.now());
  if ('material' in checked) return faulty ? undefined : { files, material: checked.material };
  for (const { part, text } of checked.faults) report(members[part], text);
  return undefined;
}
