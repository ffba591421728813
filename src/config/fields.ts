import { z } from 'zod';
import { parseAddress, parseDuration, parseSize, UnitError } from './units.ts';

/**
 * Text or a number, read by one of the functions of `units.ts`.
 *
 * @param shape for the JSON Schema, by which an editor or Helm refuses what would be refused here
 */
export function parsed<T>(parse: (value: string | number) => T, expected: string, shape: Shape = {}) {
  const given = z.union([z.string(), z.number()], { error: `must be ${expected}` });
  return given.meta(shape).transform((value, context) => {
    try {
      return parse(value);
    } catch (error) {
      if (!(error instanceof UnitError)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });
}

type Shape = {
  /** Of text. */
  readonly pattern?: string;
  /** Of numbers. */
  readonly minimum?: number;
  readonly maximum?: number;
};

/** A plain number but 0 is no duration. */
const durations: Shape = { pattern: '^(0|[0-9]{1,12}([.][0-9]{1,6})?(ms|s|m|h))$', minimum: 0, maximum: 0 };
const sizes: Shape = { pattern: '^[0-9]{1,12}([.][0-9]{1,6})? ?([KMG]?B|[KMG]iB)?$', minimum: 1 };

/** Fields that several sections have. */
export const duration = () => parsed(parseDuration, 'a duration such as 500ms, 2s, 5m or 1h; 0s means none', durations);
export const size = () => parsed(parseSize, 'a size such as 32MiB or 16KiB', sizes);
export const address = () => parsed(parseAddress, 'an address such as 127.0.0.1:8080 or :8080');
export const name = () => z.string().min(1);

/** Where the secret of an HS algorithm comes from. */
export const secretSources = {
  secret_env: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'must be the name of an environment variable' })
    .optional()
    .describe('For HS: the environment variable that holds the secret.'),
  secret_file: name()
    .optional()
    .describe('For HS: the file that holds the secret; one line feed at its end is dropped.'),
};
