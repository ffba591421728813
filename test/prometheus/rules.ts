/** The rules of k8s/monitoring/rules.yaml, for the tests. */
import { readFileSync } from 'node:fs';

import { parse } from 'yaml';
import { z } from 'zod';

const rule = z.union([
  z.strictObject({ record: z.string(), expr: z.string() }),
  z.strictObject({
    alert: z.string(),
    expr: z.string(),
    for: z.string().optional(),
    labels: z.strictObject({ severity: z.enum(['critical', 'warning', 'info']) }),
    annotations: z.strictObject({ summary: z.string(), action: z.string() }),
  }),
]);
const file = z.strictObject({ groups: z.array(z.strictObject({ name: z.string(), rules: z.array(rule) })) });

export type Rule = z.infer<typeof rule>;

export function readRules(): readonly Rule[] {
  const text = readFileSync(new URL('../../k8s/monitoring/rules.yaml', import.meta.url), 'utf8');
  return file.parse(parse(text)).groups.flatMap(({ rules }) => rules);
}
