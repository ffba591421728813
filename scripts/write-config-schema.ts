/**
 * Writes `docs/schemas/config.json`, which a test compares with `src/config/schema.ts`, and the same into the schema of the
 * Helm chart's values, so that a wrong member is refused before anything is installed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { configJsonSchema } from '../src/config/schema.ts';

writeFileSync(
  new URL('../docs/schemas/config.json', import.meta.url),
  `${JSON.stringify(configJsonSchema, null, 2)}\n`,
);

const { $schema: _draft, ...config } = configJsonSchema;
const chart = new URL('../k8s/helm/opallama/values.schema.json', import.meta.url);
const values = JSON.parse(readFileSync(chart, 'utf8'));
values.properties.config = config;
writeFileSync(chart, `${JSON.stringify(values, null, 2)}\n`);
