/** Writes `docs/schemas/config.json`, which a test compares with `src/config/schema.ts`. */
import { writeFileSync } from 'node:fs';
import { configJsonSchema } from '../src/config/schema.ts';

writeFileSync(
  new URL('../docs/schemas/config.json', import.meta.url),
  `${JSON.stringify(configJsonSchema, null, 2)}\n`,
);
