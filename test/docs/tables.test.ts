/** The tables in the papers against the code that they describe: nothing missing, nothing that is no longer there. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Command } from 'commander';

import { environment } from '../../src/config/environment.ts';
import { allPaths, memberAt } from '../../src/config/members.ts';
import { engineNames } from '../../src/decision/engines/table.ts';
import { errorTable } from '../../src/errors.ts';
import { endpoints } from '../../src/http/admin/endpoints.ts';
import { routes } from '../../src/input/routes.ts';
import { commands } from '../../src/main.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { codes, readPaper, root, tableRows } from './papers.ts';

const readme = readPaper('README.md');

test('the README lists every error code with its status, and no other', () => {
  const rows = tableRows(readme, 'Errors').map(([code, status]) => `${codes(code).join()} ${status}`);
  const table = Object.entries(errorTable).map(([code, { status }]) => `${code} ${status}`);
  assert.deepEqual(rows.toSorted(), table.toSorted());
});

test('the README lists every route with its methods, dialect and operation, and no other', () => {
  const rows = tableRows(readme, 'Routes').map(
    ([methods, path, api, operation]) => `${codes(methods)} ${codes(path)} ${api} ${codes(operation)}`,
  );
  const table = routes.map(({ methods, path, api, operation }) => `${methods} ${path} ${api} ${operation}`);
  assert.deepEqual(rows.toSorted(), table.toSorted());
});

test('the README lists every metric with its type, and no other', async () => {
  const { registry } = createMetrics({
    isListedModel: () => false,
    revision: () => undefined,
    inFlight: () => 0,
  });
  const rows = tableRows(readme, 'Metrics').map(([name, type]) => `${codes(name)} ${/^\w+/.exec(type ?? '')}`);
  const registered = await registry.getMetricsAsJSON();
  assert.deepEqual(rows.toSorted(), registered.map(({ name, type }) => `${name} ${type}`).toSorted());
});

test('the README names the default addresses of the listeners', () => {
  const rows = tableRows(readme, 'Ports').map(([listener, address]) => `${listener} ${codes(address)}`);
  const listeners = ['data', 'ops', 'admin'].map((name) => `${name} ${memberAt(['listen', name])?.default}`);
  assert.deepEqual(rows, listeners);
});

const configuration = readPaper('docs/configuration.md');
const sections = [
  'Workers',
  'Listeners',
  'Upstream',
  'Policy',
  'Identity',
  'Timeouts',
  'Limits',
  'Record',
  'Administration',
  'Shutdown',
  'Management',
];
const documented = new Map(
  sections.flatMap((section) =>
    tableRows(configuration, section).map(([member, value]) => [codes(member)[0] ?? '', value ?? ''] as const),
  ),
);

/** Sections are no members of their own in the paper; entries of a list are written with empty brackets. */
const members = allPaths()
  .filter((path) => path.at(-1) !== 0 && (path.length > 1 || ['prefixes', 'workers'].includes(`${path[0]}`)))
  // The entries of policy.all_of have the members of policy, which a test below holds them to.
  .filter((path) => path[1] !== 'all_of' || path.length < 4 || path.at(-1) === 'name')
  // So has policy.shadow, whose own are these.
  .filter(
    (path) => path[1] !== 'shadow' || ['shadow', 'name', 'sample', 'isolation', 'workers'].includes(`${path.at(-1)}`),
  )
  .map((path) => ({ path, name: path.join('.').replaceAll('.0', '[]') }));

test('docs/configuration.md lists every member, and no other', () => {
  assert.deepEqual([...documented.keys()].toSorted(), members.map(({ name }) => name).toSorted());
});

for (const { path, name } of members) {
  const value = memberAt(path)?.default;
  if (value === undefined) continue;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  test(`docs/configuration.md gives the default of ${name}`, () => {
    assert.equal(documented.get(name), `\`${text}\``);
  });
}

test('the entries of policy.all_of have a name and the members of policy', () => {
  const own = allPaths().map((path) => path.join('.').replaceAll('.0', '[]'));
  const below = (prefix: string) =>
    own.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
  const entry = below('policy.all_of[].').filter((member) => member !== 'name');
  assert.deepEqual(
    entry,
    below('policy.').filter((member) => !/^(?:all_of|shadow)/.test(member)),
  );
  const shadow = below('policy.shadow.').filter((member) => member !== 'name' && member !== 'sample');
  const useless = /^(?:keep_revisions|rollout)/;
  assert.deepEqual(shadow.toSorted(), entry.filter((member) => !useless.test(member)).toSorted());
});

test('docs/configuration.md says what every engine is', () => {
  const row = tableRows(configuration, 'Policy').find(([member]) => codes(member)[0] === 'policy.engine');
  for (const name of engineNames) assert.ok(codes(row?.at(-1)).includes(name), name);
});

test('docs/configuration.md names the flags that commands take', () => {
  const source = readFileSync(join(root, 'src/cli/config-options.ts'), 'utf8');
  const flags = [...source.matchAll(/\.option\('(?:-c, )?(--[a-z-]+ <\w+>)/g)].map(([, flag]) => flag);
  assert.ok(flags.length > 5);
  const rows = tableRows(configuration, 'Flags').map(([flag]) => codes(flag).at(-1));
  assert.deepEqual(rows, flags);
});

test('the README lists every command, and no other', () => {
  const source = readFileSync(join(root, 'src/main.ts'), 'utf8');
  const commands = [...source.matchAll(/^ {2}\['([\w-]+)', async/gm)].map(([, name]) => name);
  assert.ok(commands.length > 4);
  const rows = tableRows(readme, 'Commands').map(([command]) => codes(command)[0]);
  assert.deepEqual(rows, commands);
});

test('docs/cli.md names every option of the commands that it describes, and no other', async () => {
  const paper = readPaper('docs/cli.md');
  const documentedIn = (heading: string) =>
    tableRows(paper, heading).flatMap(([option]) => codes(option).flatMap((code) => code.match(/^--[a-z-]+/) ?? []));
  for (const [, name = ''] of paper.matchAll(/^## ([\w-]+)$/gm)) {
    const program = new Command();
    const register = await commands.get(name)?.();
    register?.(program, { environment: environment(), write: () => {} });
    const flags = [
      ...new Set(
        program.commands
          .flatMap((each) => [each, ...each.commands])
          .flatMap(({ options }) => options.map(({ long }) => long ?? '')),
      ),
    ];
    const asks = flags.includes('--client-ip') ? documentedIn('What is asked') : [];
    const common = ['--config', '--format', '--entrypoint', '--policy'];
    const own = (names: readonly string[]) => names.filter((each) => !common.includes(each)).sort();
    assert.deepEqual(own([...documentedIn(name), ...asks]), own(flags), name);
  }
});

test('docs/admin.md lists every endpoint with the members of its body, and no other', () => {
  const rows = tableRows(readPaper('docs/admin.md'), 'Endpoints').map(([method, path, body]) =>
    [codes(method), codes(path), codes(body)].flat().join(' '),
  );
  const table = endpoints.map(({ method, path, members: body }) => [method, path, ...body].join(' '));
  assert.deepEqual(rows, table);
});

/** The members of an interface in `types.ts`: types are gone at run time, so they are read from the source. */
function membersOf(name: string): readonly string[] {
  const source = readFileSync(join(root, 'src/types.ts'), 'utf8');
  const body = new RegExp(`^export interface ${name} \\{\\n(.*?)^\\}`, 'ms').exec(source)?.[1];
  assert.ok(body !== undefined, name);
  return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, member = '']) => member);
}

test('docs/audit.md lists every member of the audit event, and no other', () => {
  const rows = tableRows(readPaper('docs/audit.md'), 'Members').map(([member]) => codes(member)[0]);
  assert.deepEqual(rows.toSorted(), ['event', ...membersOf('AuditEvent')].toSorted());
});

test('docs/audit.md lists every member of the lines of a shadow, and no other', () => {
  const rows = tableRows(readPaper('docs/audit.md'), 'Lines of a shadow').map(([member]) => codes(member)[0]);
  assert.deepEqual(rows.toSorted(), ['event', ...membersOf('ShadowEvent')].toSorted());
});

test('docs/audit.md lists every member of what is told of operators, and no other', () => {
  const rows = tableRows(readPaper('docs/audit.md'), 'Lines of operators').map(([member]) => codes(member)[0]);
  assert.deepEqual(rows.toSorted(), ['event', ...membersOf('AdminEvent')].toSorted());
});

test('docs/audit.md lists every outcome, and no other', () => {
  const source = readFileSync(join(root, 'src/types.ts'), 'utf8');
  const union = /^export type Outcome = (.*);$/m.exec(source)?.[1];
  const outcomes = [...(union ?? '').matchAll(/'(\w+)'/g)].map(([, outcome]) => outcome);
  assert.ok(outcomes.length > 0);
  const rows = tableRows(readPaper('docs/audit.md'), 'Outcomes').map(([outcome]) => codes(outcome)[0]);
  assert.deepEqual(rows.toSorted(), outcomes.toSorted());
});

test('docs/policies.md lists every member of the input, and no other', () => {
  const schema: { readonly properties: object } = JSON.parse(
    readFileSync(join(root, 'policies/schemas/input.json'), 'utf8'),
  );
  const rows = tableRows(readPaper('docs/policies.md'), 'What a policy sees').flatMap(([member]) => codes(member));
  assert.deepEqual(rows.toSorted(), Object.keys(schema.properties).toSorted());
});
