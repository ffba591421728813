/** C2SP's Wycheproof vectors, from their Go module: fetched when the tests run, checked by its sum, never kept here. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { z } from 'zod';

const module = 'github.com/c2sp/wycheproof@v0.0.0-20260902155932-3fa63dd0344a';
/** As Go's checksum database has it. */
const sum = 'h1:pNbL2nztRsWfW/ispAwsvcDFxs9Id38uIsR2/Up5G2c=';

const jwk = z.record(z.string(), z.unknown());
const file = z.object({
  numberOfTests: z.number(),
  testGroups: z.array(
    z.object({
      comment: z.string(),
      public: jwk.optional(),
      private: jwk.optional(),
      tests: z.array(
        z.object({ tcId: z.number(), comment: z.string(), jws: z.string(), result: z.enum(['valid', 'invalid']) }),
      ),
    }),
  ),
});

export interface Vector {
  readonly id: number;
  readonly comment: string;
  readonly jws: string;
  readonly isValid: boolean;
  /** A key, or a set of them; the private one where it is symmetric. */
  readonly key: Readonly<Record<string, unknown>>;
}

/** @returns the directory of the module, or why there is none on this machine */
export function fetchVectors(): { readonly directory: string } | { readonly missing: string } {
  const env = { ...process.env, GO111MODULE: 'on', GOFLAGS: '-mod=mod', GOWORK: 'off' };
  const done = spawnSync('go', ['mod', 'download', '-json', module], {
    cwd: tmpdir(),
    env,
    encoding: 'utf8',
    timeout: 120_000,
  });
  if (done.error !== undefined)
    return { missing: `Go, which fetches the vectors, can not be run: ${done.error.message}` };
  const answer = z.object({ Dir: z.string().optional(), Sum: z.string().optional(), Error: z.string().optional() });
  const { Dir: directory, Sum, Error: fault } = answer.parse(JSON.parse(done.stdout || '{}'));
  if (directory === undefined)
    return { missing: `the Go module of the vectors can not be had: ${fault ?? done.stderr}` };
  if (Sum !== sum) throw new Error(`${module} is not what it was: ${Sum}`);
  return { directory };
}

export function readVectors(directory: string, name: string): readonly Vector[] {
  const { numberOfTests, testGroups } = file.parse(
    JSON.parse(readFileSync(join(directory, 'testvectors_v1', name), 'utf8')),
  );
  const vectors = testGroups.flatMap((group) =>
    group.tests.map(({ tcId: id, comment, jws, result }) => ({
      id,
      comment: `${group.comment}: ${comment}`,
      jws,
      isValid: result === 'valid',
      key: group.public ?? group.private ?? {},
    })),
  );
  if (vectors.length !== numberOfTests) throw new Error(`${name} has ${vectors.length} vectors, not ${numberOfTests}`);
  return vectors;
}
