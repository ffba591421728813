/** The file of API keys: who has which, and a salted hash of each. The keys themselves are nowhere. */
import { z } from 'zod';

import { parseApiKeyHash } from './api-key.ts';
import { instant, mostEntries, readListFile } from './read-list.ts';

const text = z.string().min(1).max(512);

const entry = z.strictObject({
  id: z.string().regex(/^[a-z2-7]{12}$/, { error: 'must be the 12 letters and digits behind "opl_" of the key' }),
  hash: z.string().transform((value, context) => {
    const parsed = parseApiKeyHash(value);
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: 'custom', message: 'must be sha256:<salt>:<hash>, as "opallama keys create" writes it' });
    return z.NEVER;
  }),
  principal: text,
  roles: z.array(text).min(1).max(100),
  agent_role: text.optional(),
  permissions: z.array(text).max(1000).default([]),
  tenant: text.optional(),
  note: z.string().max(2000).optional(),
  created_at: instant.optional(),
  expires_at: instant.optional(),
  revoked_at: instant.optional(),
});

export type ApiKeyEntry = z.output<typeof entry>;

const file = z.strictObject({
  keys: z
    .array(entry)
    .max(mostEntries)
    .superRefine((entries, context) => {
      const ids = new Set<string>();
      for (const [index, { id }] of entries.entries()) {
        if (ids.has(id))
          context.addIssue({ code: 'custom', path: [index, 'id'], message: 'is the id of another key too' });
        ids.add(id);
      }
    }),
});

/** @returns a text where the file can't be used */
export function parseApiKeyFile(bytes: Uint8Array): { readonly value: readonly ApiKeyEntry[] } | string {
  const read = readListFile(bytes, file);
  return typeof read === 'string' ? read : { value: read.value.keys };
}
