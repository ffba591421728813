/** The section `policy.signature`: by whom bundles must be signed. */
import { z } from 'zod';
import { name } from './fields.ts';
import { jwtKeySchema } from './identity-schema.ts';

export const signature = z
  .strictObject({
    ...jwtKeySchema.shape,
    algorithm: jwtKeySchema.shape.algorithm.describe('The one algorithm that bundles may be signed with.'),
    key_id: name().optional().describe('A signature that names another key is refused.'),
    scope: name().optional().describe('The scope that the signature must have. Default: none, and it must have none.'),
    allow_unsigned_deltas: z
      .boolean()
      .default(false)
      .describe('Whether delta bundles count, which change the data of a signed one and are not signed.'),
    exclude_files: z.array(name()).max(1000).default([]).describe('Files of the bundle that need not be signed.'),
  })
  .describe('Bundles must be signed by this key, as OPA signs them.');

/** For what takes no deltas. */
export const snapshotSignature = signature
  .omit({ allow_unsigned_deltas: true })
  .describe('Bundles must be signed by this key, as OPA signs them.');
