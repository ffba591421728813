import { resolve } from 'node:path';
import type { z } from 'zod';
import type { OpaConfig } from '../configured/policy.ts';
import type { Environment } from './environment.ts';
import { errorCode } from './keys.ts';
import { valueAt } from './layers.ts';
import type { opa } from './opa-schema.ts';
import { type LoadedTls, loadTls, upstreamTlsFiles } from './tls.ts';

export interface OpaSources extends Environment {
  /** That a path of this member is relative to. */
  readonly directory: (path: readonly string[]) => string;
  readonly report: (path: readonly string[], text: string) => void;
}

/**
 * Reads what the section `policy.opa` refers to: a token, certificates.
 *
 * @param section as it stands in the configuration
 * @param checked what the schema made of it
 * @param deadlineMs of the policy, where the section names no timeout
 */
export function loadOpa(
  section: unknown,
  checked: z.output<typeof opa>,
  deadlineMs: number,
  sources: OpaSources,
): OpaConfig {
  const { tls, timeout = deadlineMs, ...rest } = checked;
  const loaded: LoadedTls | undefined = loadTls(valueAt(section, ['tls']), upstreamTlsFiles, {
    readFile: sources.readFile,
    directory: (member) => sources.directory(['tls', member]),
    report: (member, text) => sources.report(['tls', member], text),
  });
  return { ...rest, timeout, ...loadToken(section, sources), tls: tls && loaded && { ...tls, ...loaded } };
}

/** The bearer token that a section names by `token_env` or `token_file`. */
export function loadToken(
  section: unknown,
  { env, readFile, directory, report }: OpaSources,
): Pick<OpaConfig, 'token' | 'tokenSource'> {
  const none = { token: undefined, tokenSource: undefined };
  const variable = valueAt(section, ['token_env']);
  const file = valueAt(section, ['token_file']);
  if (typeof variable === 'string') {
    const text = env[variable];
    if (text !== undefined) return check('token_env', text, variable);
    report(['token_env'], `the variable ${variable} is not set`);
    return none;
  }
  if (typeof file !== 'string') return none;
  const path = resolve(directory(['token_file']), file);
  try {
    return check(
      'token_file',
      Buffer.from(readFile(path))
        .toString('latin1')
        .replace(/\r?\n$/, ''),
      path,
    );
  } catch (error) {
    report(['token_file'], `cannot read ${path}${errorCode(error)}`);
    return none;
  }

  /** RFC 6750 section 2.1: what stands behind "Bearer". */
  function check(member: 'token_env' | 'token_file', token: string, value: string) {
    if (!/^[A-Za-z0-9._~+/-]+=*$/.test(token)) report([member], 'holds no bearer token: letters, digits and ._~+/-=');
    return { token, tokenSource: { member, value } };
  }
}
