/**
 * Writes `docs/schemas/config.json`, which a test compares with `src/config/schema.ts`, and the same into the schema of the
 * Helm chart's values, so that a wrong member is refused before anything is installed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { describeConfigSchema } from '../src/config/schema.ts';

const schema = describeConfigSchema();
writeFileSync(new URL('../docs/schemas/config.json', import.meta.url), `${JSON.stringify(schema, null, 2)}\n`);

const { $schema: _draft, ...config } = schema;
const chart = new URL('../k8s/helm/opallama/values.schema.json', import.meta.url);
const values = JSON.parse(readFileSync(chart, 'utf8'));
values.properties.config = config;
writeFileSync(chart, `${JSON.stringify(values, null, 2)}\n`);
