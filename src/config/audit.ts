import { createPrivateKey, type KeyObject } from 'node:crypto';
import { resolve } from 'node:path';
import type { z } from 'zod';
import type { AuditFileConfig, AuditHeadsConfig } from '../configured/audit.ts';
import type { Config } from '../configured/config.ts';
import type { audit } from './audit-schema.ts';
import type { Environment } from './environment.ts';
import type { Path } from './faults.ts';
import { errorCode } from './keys.ts';

export interface AuditSources extends Environment {
  /** The directory that a relative path in this member is relative to. */
  readonly directory: (path: Path) => string;
  readonly report: (path: Path, text: string) => void;
}

type Section = z.output<typeof audit>;
type Heads = NonNullable<Section['heads']>;

const dayMs = 86_400_000;

/** Completes the section with what it refers to: paths made absolute, the key and the token read. */
export function loadAudit(section: Section, sources: AuditSources): Config['audit'] {
  const { report, directory } = sources;
  const { stdout, file, durability, rotate, keep } = section;
  const heads = section.heads && loadHeads(section.heads, sources);
  if (file === undefined) {
    const needs = 'needs audit.file, the file that it is about';
    if (durability === 'strict') report(['audit', 'durability'], needs);
    if (section.heads !== undefined) report(['audit', 'heads'], needs);
    if (section.on_failure !== undefined) report(['audit', 'on_failure'], needs);
    return { stdout };
  }
  const path = resolve(directory(['audit', 'file']), file);
  if (heads?.file === path) report(['audit', 'heads', 'file'], 'is audit.file; heads vouch for it from elsewhere');
  const kept: AuditFileConfig = {
    path,
    durability,
    onFailure: section.on_failure ?? (durability === 'strict' ? 'refuse' : 'continue'),
    rotate,
    keep: { forMs: keep.days * dayMs, bytes: keep.size ?? 0 },
    heads,
  };
  return { stdout, file: kept };
}

function loadHeads(heads: Heads, sources: AuditSources): AuditHeadsConfig | undefined {
  const at: Path = ['audit', 'heads'];
  const { report, directory } = sources;
  const { every, stdout, file, url } = heads;
  if (!stdout && file === undefined && url === undefined)
    report(at, 'go nowhere; set file, url or stdout: beside the lines alone they vouch for nothing');
  const read = readSecret(heads, 'key_env', 'key_file', at, sources);
  if (read === undefined && heads.key_env === undefined && heads.key_file === undefined)
    report(at, 'need a key: set key_file or key_env. Make one: openssl genpkey -algorithm ed25519 -out heads.pem');
  const key = read && readKey(read.text);
  if (typeof key === 'string') report([...at, read?.source.member ?? ''], key);
  const token = readSecret(heads, 'token_env', 'token_file', at, sources);
  if (token !== undefined && url === undefined) report([...at, token.source.member], 'needs url, where it is sent');
  if (token !== undefined && !/^[\x21-\x7e]{1,4096}$/.test(token.text)) {
    report([...at, token.source.member], 'holds no bearer token');
    return undefined;
  }
  if (read === undefined || key === undefined || typeof key === 'string') return undefined;
  return {
    key,
    source: read.source,
    every,
    stdout,
    file: file === undefined ? undefined : resolve(directory([...at, 'file']), file),
    url,
    token: token?.text,
    tokenSource: token?.source,
  };
}

function readKey(pem: string): KeyObject | string {
  const wanted = 'must hold one private key of type Ed25519 in PEM, without a passphrase';
  try {
    const key = createPrivateKey(pem);
    return key.asymmetricKeyType === 'ed25519' ? key : `${wanted}; this one is ${key.asymmetricKeyType}`;
  } catch {
    return wanted;
  }
}

function readSecret<E extends 'key_env' | 'token_env', F extends 'key_file' | 'token_file'>(
  members: Readonly<Partial<Record<E | F, string | undefined>>>,
  env: E,
  file: F,
  at: Path,
  sources: AuditSources,
): { readonly text: string; readonly source: { readonly member: E | F; readonly value: string } } | undefined {
  const variable = members[env];
  const named = members[file];
  if (variable !== undefined && named !== undefined) {
    sources.report([...at, file], `one of them; remove it or ${env}`);
    return undefined;
  }
  if (variable !== undefined) {
    const text = sources.env[variable];
    if (text !== undefined) return { text: text.trimEnd(), source: { member: env, value: variable } };
    sources.report([...at, env], `the variable ${variable} is not set`);
    return undefined;
  }
  if (named === undefined) return undefined;
  const path = resolve(sources.directory([...at, file]), named);
  try {
    return {
      text: Buffer.from(sources.readFile(path)).toString('utf8').trimEnd(),
      source: { member: file, value: path },
    };
  } catch (error) {
    sources.report([...at, file], `cannot read ${path}${errorCode(error)}`);
    return undefined;
  }
}
