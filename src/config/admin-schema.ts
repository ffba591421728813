/** The section `admin`: who may look into a running sidecar and change what it decides by. */
import { z } from 'zod';
import { name } from './fields.ts';

const members = {
  token_env: name().optional().describe('The variable that holds the bearer token.'),
  token_file: name().optional().describe('The file that holds it.'),
};

const token = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_.-]{0,31}$/, { error: 'must be a name such as oncall: lower case, digits, ".", "_" and "-"' })
    .describe('Stands in the log for whoever acts with it.'),
  ...members,
  scope: z
    .enum(['all', 'read', 'drain'])
    .default('all')
    .describe('What it is good for: everything, what changes nothing, or to drain and nothing else.'),
});

/** One entry, for the loader that reads what it refers to. */
export const adminTokenSchema = token;

export const admin = z
  .strictObject({
    ...members,
    tokens: z
      .array(token)
      .max(16, { error: 'must be at most 16 tokens' })
      .optional()
      .describe('Several tokens in the place of one, each with a name.'),
    keep_decisions: z
      .int()
      .min(0)
      .max(100_000)
      .default(1000)
      .describe('Past decisions that can be explained, without content.'),
  })
  .prefault({})
  .transform(({ keep_decisions: keepDecisions }) => ({ keepDecisions }));
