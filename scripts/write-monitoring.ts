/** Writes what is made of k8s/monitoring/rules.yaml and scripts/dashboard.ts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { parse, stringify } from 'yaml';

import { buildDashboard } from './dashboard.ts';

const folder = new URL('../k8s/monitoring/', import.meta.url);

/** @returns the text of each file by its name */
export function buildMonitoring(): Readonly<Record<string, string>> {
  const rules: unknown = parse(readFileSync(new URL('rules.yaml', folder), 'utf8'));
  const resource = {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'opallama', labels: { 'app.kubernetes.io/name': 'opallama' } },
    spec: rules,
  };
  return {
    'prometheus-rule.yaml': `# Made of rules.yaml by \`npm run monitoring\`.\n${stringify(resource, { lineWidth: 120 })}`,
    'dashboard.json': `${JSON.stringify(buildDashboard(), undefined, 2)}\n`,
  };
}

if (import.meta.main) {
  for (const [name, text] of Object.entries(buildMonitoring())) {
    const file = fileURLToPath(new URL(name, folder));
    writeFileSync(file, text);
    process.stdout.write(`${file}\n`);
  }
}
