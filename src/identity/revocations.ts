/** Credentials that count no longer although they are good: by id of a token or key, by subject, by certificate. */
import { z } from 'zod';

import { instant, mostEntries, readListFile } from './read-list.ts';

const text = z.string().min(1).max(1024);
const hex = (digits: RegExp, error: string) =>
  z
    .string()
    .transform((value) => value.replaceAll(':', '').toLowerCase())
    .refine((value) => digits.test(value), { error });

const kinds = ['jti', 'sub', 'api_key', 'certificate_fingerprint', 'certificate_serial'] as const;

const entry = z
  .strictObject({
    jti: text.optional(),
    sub: text.optional(),
    api_key: z
      .string()
      .regex(/^(?:opl_)?[a-z2-7]{12}$/, { error: 'must be the id of a key, without its secret' })
      .transform((value) => value.slice(-12))
      .optional(),
    certificate_fingerprint: hex(
      /^[0-9a-f]{64}$/,
      'must be SHA-256 of the certificate, 64 hexadecimal digits',
    ).optional(),
    certificate_serial: hex(/^[0-9a-f]{1,64}$/, 'must be hexadecimal digits')
      .transform((value) => value.replace(/^0+(?=.)/, ''))
      .optional(),
    issuer: text.optional(),
    issued_before: instant.optional(),
    expires_at: instant.optional(),
    note: z.string().max(2000).optional(),
  })
  .superRefine((value, context) => {
    const named = kinds.filter((kind) => value[kind] !== undefined);
    const report = (message: string): void => void context.addIssue({ code: 'custom', message });
    if (named.length !== 1) report(`must have exactly one of ${kinds.join(', ')}`);
    const isToken = value.jti !== undefined || value.sub !== undefined;
    if (value.issuer !== undefined && !isToken) report('issuer goes with jti or sub');
    if (value.issued_before !== undefined && value.sub === undefined) report('issued_before goes with sub');
  });

type Entry = z.output<typeof entry>;

const file = z.strictObject({ revoked: z.array(entry).max(mostEntries) });

/** @returns a text where the file can't be used */
export function parseRevocations(bytes: Uint8Array): { readonly value: readonly Entry[] } | string {
  const read = readListFile(bytes, file);
  return typeof read === 'string' ? read : { value: read.value.revoked };
}

export interface Revocations {
  /** Another number whenever the list has changed: whoever remembers a credential checks it anew then. */
  readonly generation: number;
  /** @param timeMs now, for entries that expire */
  ofToken(claims: Readonly<Record<string, unknown>>, timeMs: number): boolean;
  ofApiKey(id: string, timeMs: number): boolean;
  /** @param fingerprint of SHA-256, lower-case hexadecimal @param serial hexadecimal, as Node writes it */
  ofCertificate(fingerprint: string, serial: string, timeMs: number): boolean;
  /** From now on these count and no others. */
  replace(entries: readonly Entry[]): void;
}

export function createRevocations(): Revocations {
  let lists = index([]);
  const revocations = {
    generation: 0,
    ofToken({ iss, sub, jti, iat }: Readonly<Record<string, unknown>>, timeMs: number): boolean {
      const concerns = ({ issuer, issued_before: before, expires_at: end }: Entry): boolean => {
        if (end !== undefined && timeMs >= end) return false;
        if (issuer !== undefined && issuer !== iss) return false;
        // A token that does not say when it was issued may be an old one.
        return before === undefined || typeof iat !== 'number' || iat * 1000 < before;
      };
      return (
        (typeof jti === 'string' && lists.jti.get(jti)?.some(concerns) === true) ||
        (typeof sub === 'string' && lists.sub.get(sub)?.some(concerns) === true)
      );
    },
    ofApiKey: (id: string, timeMs: number): boolean => holds(lists.api_key.get(id), timeMs),
    ofCertificate: (fingerprint: string, serial: string, timeMs: number): boolean =>
      holds(lists.certificate_fingerprint.get(fingerprint), timeMs) ||
      holds(lists.certificate_serial.get(serial.toLowerCase().replace(/^0+(?=.)/, '')), timeMs),
    replace(next: readonly Entry[]): void {
      lists = index(next);
      revocations.generation += 1;
    },
  };
  return revocations;
}

function holds(entries: readonly Entry[] | undefined, timeMs: number): boolean {
  return entries?.some(({ expires_at: end }) => end === undefined || timeMs < end) === true;
}

function index(
  entries: readonly Entry[],
): Readonly<Record<(typeof kinds)[number], ReadonlyMap<string, readonly Entry[]>>> {
  const by = (kind: (typeof kinds)[number]): ReadonlyMap<string, readonly Entry[]> =>
    Map.groupBy(
      entries.filter((each) => each[kind] !== undefined),
      (each) => each[kind] ?? '',
    );
  return {
    jti: by('jti'),
    sub: by('sub'),
    api_key: by('api_key'),
    certificate_fingerprint: by('certificate_fingerprint'),
    certificate_serial: by('certificate_serial'),
  };
}
