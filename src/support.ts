/** The part of the composition root that gathers what helps to find a fault from afar. It leaves out every secret twice. */
import { KeyObject } from 'node:crypto';
import { availableParallelism } from 'node:os';

import { printConfig } from './config/print.ts';
import type { Config } from './configured/config.ts';
import { RequestError } from './errors.ts';
import type { Administration, SupportDocument } from './http/admin/contract.ts';
import { readVersion } from './version.ts';

export interface SupportParts {
  readonly config: Config;
  readonly metrics: () => Promise<string>;
  /** What `/readyz?verbose` says. */
  readonly readiness: () => readonly string[];
  /** The latest lines of the log. */
  readonly lines: () => readonly string[];
}

export type Support = (administration: Administration) => Promise<SupportDocument>;

export function createSupport(parts: SupportParts): Support {
  const { config } = parts;
  const mask = createMask(findSecrets(config));

  return async function gather(administration) {
    const files = {
      'about.json': toText(describeProcess(administration)),
      'config.yaml': printConfig(config),
      'status.json': toText(describeStatus(administration)),
      'readiness.txt': parts
        .readiness()
        .map((line) => `${line}\n`)
        .join(''),
      'metrics.txt': await parts.metrics(),
      'log.jsonl': parts.lines().join(''),
    };
    return { files: Object.fromEntries(Object.entries(files).map(([name, text]) => [name, mask(text)])) };
  };
}

function describeProcess(administration: Administration): object {
  return {
    gathered_at: new Date().toISOString(),
    version: readVersion(),
    versions: process.versions,
    platform: `${process.platform} ${process.arch}`,
    cpus: availableParallelism(),
    uptime_s: Math.round(process.uptime()),
    memory: process.memoryUsage(),
    cpu_us: process.cpuUsage(),
    log_level: administration.logLevel(),
  };
}

function describeStatus(administration: Administration): object {
  const status = administration.status();
  const revisions = Object.fromEntries(status.policies.map(({ name }) => [name, administration.revisions(name)]));
  return { ...status, revisions, shadow: describeShadow(administration) };
}

/** Without the requests that it decides otherwise: those say who asked. */
function describeShadow(administration: Administration): object | undefined {
  try {
    const { disagreements, ...shadow } = administration.shadow();
    return { ...shadow, disagreements: disagreements.length };
  } catch (error) {
    if (error instanceof RequestError) return undefined;
    throw error;
  }
}

function toText(document: object): string {
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** Shorter than that it is no secret, and would mask half of all words. */
const shortestSecret = 6;

/** Every secret that a configuration holds, wherever it stands: what is added to it must not have to be added here. */
export function findSecrets(config: object): readonly string[] {
  const found = new Set<string>();
  const seen = new Set<object>();
  walk(config, '');
  return [...found].filter((text) => text.length >= shortestSecret).sort((a, b) => b.length - a.length);

  function walk(value: unknown, name: string): void {
    if (typeof value === 'string') {
      if (/token|secret|password|passphrase/i.test(name)) add(Buffer.from(value));
      return;
    }
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    if (value instanceof KeyObject) {
      if (value.type === 'secret') add(value.export());
      return;
    }
    if (value instanceof Uint8Array) return;
    const members = value instanceof Map || Array.isArray(value) ? [...value.values()] : undefined;
    if (members !== undefined) for (const member of members) walk(member, name);
    else for (const [member, inner] of Object.entries(value)) walk(inner, member);
  }

  function add(bytes: Buffer): void {
    const texts = [
      bytes.toString('utf8'),
      bytes.toString('base64'),
      bytes.toString('base64url'),
      bytes.toString('hex'),
    ];
    // As it stands in JSON too.
    for (const text of texts) found.add(text).add(JSON.stringify(text).slice(1, -1));
  }
}

/** What looks like a secret, from wherever it came. */
const looks: ReadonlyArray<readonly [RegExp, string]> = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, '***'],
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, '***'],
  [/\b(bearer|basic) +(?=[\w.~+/-]*\d)[\w.~+/-]{8,}=*/gi, '$1 ***'],
  [/\/\/[^/\s:@"]+:[^/\s@"]+@/g, '//***@'],
  [/(\bhttps?:\/\/[^\s"'?#<>]+)\?[^\s"'<>]+/g, '$1?***'],
];

export function createMask(secrets: readonly string[]): (text: string) => string {
  return (text) => {
    let masked = text;
    for (const secret of secrets) masked = masked.replaceAll(secret, '***');
    for (const [look, stand] of looks) masked = masked.replace(look, stand);
    return masked;
  };
}
